#!lua
-- Keep an idempotent answer, or give the one that lies there. ARGV: value, life in ms.
-- An answer that is given is written once more as it is, so that a WAIT after this waits for it as well.
local known = redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX', 'GET')
if known then redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1])) end
return known

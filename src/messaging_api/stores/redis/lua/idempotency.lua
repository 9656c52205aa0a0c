#!lua
-- Store an idempotency record, or return the one that exists. ARGV: value, lifetime in ms.
-- An existing record is written again, so that a WAIT after this script waits for it as well.
local earlier = redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX', 'GET')
if earlier then redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1])) end
return earlier

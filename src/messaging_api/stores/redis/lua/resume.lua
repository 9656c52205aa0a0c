#!lua flags=allow-oom
-- Return a resume record. It is written again, so that a WAIT after this script waits for it as well.
local record = redis.call('GET', KEYS[1])
if record then redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1])) end
return record

#!lua flags=allow-oom
-- Return a resume record. KEYS: the record, and the list of the message's records ('-' after a burn).
-- It is written again, so that a WAIT after this script waits for it as well.
if redis.call('GET', KEYS[2]) == '-' then return false end
local record = redis.call('GET', KEYS[1])
if record then redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1])) end
return record

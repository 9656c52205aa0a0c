#!lua flags=allow-oom
-- Write a key and remove it, so that a server that takes no writes is noticed; a full one still serves reads.
redis.call('SET', KEYS[1], '')
return redis.call('PEXPIRE', KEYS[1], 0)

#!lua flags=allow-oom
-- Write a key that expires at once, so that a server that takes no writes is noticed; a full one still serves reads.
return redis.call('SET', KEYS[1], '', 'PX', 1)

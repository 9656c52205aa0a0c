#!lua
-- Count one read as take.lua does, and store a resume record; if there is one, return it and count nothing.
-- KEYS: message, resume record, and the list of the keys of all resume records of the message ('-' after a burn).
-- ARGV: as for take.lua, then box and lifetime in ms of the resume record.
-- A record that is returned is written again, so that a WAIT after this script waits for it as well.
-- Without allow-oom Redis rejects the whole script when it is full, so resume records never fill it beyond its limit.
local list = redis.call('GET', KEYS[3]) or ''
local record = list ~= '-' and redis.call('GET', KEYS[2])
if record then
  redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[2]))
  return record
end
return count_read(KEYS[1], ARGV[1], ARGV[2], function(head)
  redis.call('SET', KEYS[2], head .. ARGV[3], 'PX', ARGV[4])
  redis.call('SET', KEYS[3], list .. KEYS[2], 'PX', math.max(redis.call('PTTL', KEYS[3]), ARGV[4]))
end)

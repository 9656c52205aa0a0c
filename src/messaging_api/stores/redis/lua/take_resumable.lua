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
local value = redis.call('GET', KEYS[1])
if not value or #value <= 12 then return false end
local head = string.sub(value, 1, 12)
local reads, left, expires_at = struct.unpack('>I2I2I8', head)
if expires_at <= tonumber(ARGV[2]) then return false end
if reads == 0 then return head end
if left == 0 then return false end -- a damaged record: without reads left there is no text
redis.call('SET', KEYS[2], head .. ARGV[3], 'PX', ARGV[4])
redis.call('SET', KEYS[3], list .. KEYS[2], 'PX', math.max(redis.call('PTTL', KEYS[3]), ARGV[4]))
local counted = struct.pack('>I2I2', reads, left - 1)
if left > 1 then
  redis.call('SETRANGE', KEYS[1], 0, counted)
else
  local ttl = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], counted .. string.sub(head, 5), 'PX', ttl + ARGV[1])
end
return head

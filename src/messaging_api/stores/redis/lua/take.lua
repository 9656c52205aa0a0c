#!lua flags=allow-oom
-- Count one read and return the head of the value as it was before. core/record.py describes the layout of a value.
-- KEYS: message; for a resume record also the record, and the list of the keys of all resume records of the message.
-- ARGV: ms by which the tombstone of a message that was read out outlives it, and the time in ms since the epoch; box
-- and lifetime in ms of the resume record.
-- If the resume record exists, it is returned and nothing is counted. It is written again, so that a WAIT after this
-- script waits for it as well.
if KEYS[2] then
  local record = redis.call('GET', KEYS[2])
  if record then
    redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[2]))
    return record
  end
end
local value = redis.call('GET', KEYS[1])
if not value or #value <= 12 then return false end
local head = string.sub(value, 1, 12)
local reads, left, expires_at = struct.unpack('>I2I2I8', head)
if expires_at <= tonumber(ARGV[2]) then return false end
if reads == 0 then return head end
if left == 0 then return false end -- a damaged record: without reads left there is no text
if KEYS[2] then
  local records = redis.call('GET', KEYS[3]) or ''
  redis.call('SET', KEYS[2], head .. ARGV[3], 'PX', ARGV[4])
  redis.call('SET', KEYS[3], records .. KEYS[2], 'PX', ARGV[4])
end
local counted = struct.pack('>I2I2', reads, left - 1)
if left > 1 then
  redis.call('SETRANGE', KEYS[1], 0, counted)
else
  local ttl = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], counted .. string.sub(head, 5), 'PX', ttl + ARGV[1])
end
return head

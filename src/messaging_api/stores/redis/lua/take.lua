#!lua flags=allow-oom
-- Count one read and return the head of the value as it was before. core/record.py describes the layout of a value.
-- ARGV: ms by which the tombstone of a message that was read out outlives it, and the time in ms since the epoch.
local value = redis.call('GET', KEYS[1])
if not value or #value <= 12 then return false end
local head = string.sub(value, 1, 12)
local reads, left, expires_at = struct.unpack('>I2I2I8', head)
if expires_at <= tonumber(ARGV[2]) then return false end
if reads == 0 then return head end
if left == 0 then return false end -- a damaged record: without reads left there is no text
local counted = struct.pack('>I2I2', reads, left - 1)
if left > 1 then
  redis.call('SETRANGE', KEYS[1], 0, counted)
else
  local ttl = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], counted .. string.sub(head, 5), 'PX', ttl + ARGV[1])
end
return head

-- A library for the scripts that count a read. core/record.py describes the layout of a value.

-- Count one read of the message at `key`, and return the head of its value as it was before; false if the message is
-- absent, has expired at `now` (ms since the epoch), or has no read left. Unlimited reads are not counted.
-- `extra`: ms by which the tombstone of a message that was read out outlives it.
-- `before_count(head)` is called once it is certain that the read is counted, before anything is written.
local function count_read(key, extra, now, before_count)
  local value = redis.call('GET', key)
  if not value or #value <= 12 then return false end
  local head = string.sub(value, 1, 12)
  local reads, left, expires_at = struct.unpack('>I2I2I8', head)
  if expires_at <= tonumber(now) then return false end
  if reads == 0 then return head end
  if left == 0 then return false end -- a damaged record: without reads left there is no text
  before_count(head)
  local counted = struct.pack('>I2I2', reads, left - 1)
  if left > 1 then
    redis.call('SETRANGE', key, 0, counted)
  else
    local ttl = redis.call('PTTL', key)
    redis.call('SET', key, counted .. string.sub(head, 5), 'PX', ttl + extra)
  end
  return head
end

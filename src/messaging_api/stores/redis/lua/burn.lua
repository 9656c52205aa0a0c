#!lua flags=allow-oom
-- Remove the text and the resume records, and return the value as it was before; of an expired message nothing.
-- core/record.py describes the layout of a value.
-- KEYS: message, and the list of the keys of its resume records, which are all as long as that key.
-- ARGV: ms by which the tombstone outlives the message, and the time in ms since the epoch.
-- The list becomes a mark, because a record may just be on its way to another node of a cluster.
-- A tombstone is written again, so that a WAIT after this script waits for the burn that left it.
local value, list = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) -- a damaged one ends the script here
if list then
  for first = 1, #list - 1, #KEYS[2] do
    redis.call('PEXPIRE', string.sub(list, first, first + #KEYS[2] - 1), 0)
  end
  redis.call('SET', KEYS[2], '-', 'PX', math.max(redis.call('PTTL', KEYS[2]), 1))
end
if value then
  local ttl = redis.call('PTTL', KEYS[1])
  if #value > 12 then
    if struct.unpack('>I8', value, 5) <= tonumber(ARGV[2]) then return false end
    redis.call('SET', KEYS[1], string.sub(value, 1, 12), 'PX', ttl + ARGV[1])
  else
    redis.call('PEXPIRE', KEYS[1], ttl)
  end
end
return value

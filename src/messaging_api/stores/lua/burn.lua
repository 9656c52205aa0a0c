#!lua flags=allow-oom
-- Remove the text and give the value as it was. ARGV[1]: ms by which the trace outlives the message.
local value = redis.call('GET', KEYS[1])
if value and #value > 12 then
  local life = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], string.sub(value, 1, 12), 'PX', life + ARGV[1])
end
return value

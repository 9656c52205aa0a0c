#!lua flags=allow-oom
-- Remove the text and give the value as it was. ARGV[1]: ms by which the trace outlives the message.
-- A trace is written once more as it is, so that a WAIT after this waits for the burn that left it.
local value = redis.call('GET', KEYS[1])
if value then
  local life = redis.call('PTTL', KEYS[1])
  if #value > 12 then
    redis.call('SET', KEYS[1], string.sub(value, 1, 12), 'PX', life + ARGV[1])
  else
    redis.call('PEXPIRE', KEYS[1], life)
  end
end
return value

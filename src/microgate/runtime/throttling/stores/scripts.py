"""What runs inside the store. Each script leaves nothing without an end of its life, and believes nothing that it finds stored.

DECIDE goes by the store's clock, so gateways whose clocks differ count in the same windows. Numbers are microseconds and counts
below 2^53, which Lua's numbers hold.
"""

from __future__ import annotations

from microgate.runtime.stores.store import Script

_ROUND = """
local function whole(x, most)
  x = tonumber(x)
  if not x or x ~= x or x < 0 or x > most then return 0 end
  return math.floor(x)
end
local function hold(key, life_us, ...)
  redis.call('HSET', key, ...)
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(life_us / 1000) + 1000))
end
"""

# For each key five arguments: f (fixed), s (sliding) or b (bucket); the limit; microseconds of a window, or of a token; the cost;
# 1 where it refuses nobody. Answers for each what is left, below zero where it is too little, and milliseconds until there is
# more. All is taken or nothing: a hard limit that has too little left leaves all others as they are.
DECIDE = Script(
    _ROUND
    + """
local MOST = 9007199254740991
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found, answer, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  local kind, limit, span = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local cost = tonumber(ARGV[at + 4])
  local stored = redis.pcall('HMGET', key, 'w', 'c', 'p')
  if stored.err then
    redis.call('DEL', key)
    stored = {}
  end
  local one, left, wait = {}, 0, 0
  if kind == 'b' then
    local size = limit * span
    local full = math.max(now, math.min(whole(stored[2], MOST), now + size))
    left = math.floor((now + size - full - cost * span + 0.5) / span)
    wait = math.max(0, full + span - size - now)
    one = {size, '0', math.ceil(full + cost * span), '0'}
  else
    local n = math.floor(now / span)
    local w, c, p = whole(stored[1], MOST), whole(stored[2], MOST), whole(stored[3], MOST)
    if w == n + 1 then n = w
    elseif w == n - 1 then p, c = c, 0
    elseif w ~= n then p, c = 0, 0 end
    local rest = math.min(span, (n + 1) * span - now)
    wait = rest
    if kind == 's' then
      left = math.floor(limit - c - p * rest / span - cost)
      local room = limit - c - 1
      if room >= 0 then
        wait = p > 0 and math.max(0, rest - span * room / p) or 0
      else
        wait = rest + span * (1 - math.max(0, limit - 1) / c)
      end
    else
      left = limit - c - cost
    end
    one = {2 * span, string.format('%.0f', n), c + cost, p}
  end
  if left < 0 and ARGV[at + 5] ~= '1' then refused = true end
  found[i] = one
  answer[2 * i - 1] = math.max(-1, left)
  answer[2 * i] = math.ceil(wait / 1000)
end
if not refused then
  for i, key in ipairs(KEYS) do
    local one = found[i]
    if answer[2 * i - 1] >= 0 then
      hold(key, one[1], 'w', one[2], 'c', string.format('%.0f', one[3]), 'p', string.format('%.0f', one[4]))
    end
  end
end
return answer
"""
)

# Undoes what DECIDE took of one key: where the limits of a request lie on several nodes of a cluster and another refused.
GIVE_BACK = Script(
    _ROUND
    + """
local c = redis.pcall('HGET', KEYS[1], 'c')
if type(c) ~= 'string' then return 0 end
local cost = tonumber(ARGV[4])
if ARGV[1] == 'b' then cost = cost * tonumber(ARGV[3]) end
redis.call('HSET', KEYS[1], 'c', string.format('%.0f', math.max(0, whole(c, 9007199254740991) - cost)))
return 1
"""
)

# Says how much one gateway has counted (its name, the count, how long that matters in milliseconds) and answers what all others
# have. A count replaces the one before, so that nothing is lost or counted twice when an answer gets lost or the store restarts.
SHARE = Script(
    """
local all = redis.pcall('HGETALL', KEYS[1])
if all.err then
  redis.call('DEL', KEYS[1])
  all = {}
end
local others, known = 0, false
for i = 1, #all, 2 do
  if all[i] == ARGV[1] then
    known = true
  else
    local count = tonumber(all[i + 1])
    if count and count > 0 and count < 9007199254740992 then others = others + math.floor(count) end
  end
end
if known or ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return math.min(others, 9007199254740991)
"""
)

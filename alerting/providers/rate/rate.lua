-- A provider's rate, shared by all workers: one reservation, or one report, atomically.
--
-- The rules are those of memory_rates.py, checked by a differential test; contract.py explains the
-- constants. A call that is retried because its reply was lost reserves twice: capacity is lost,
-- and the rate is kept.
--
-- KEYS[1]  the sender: a hash; also the channel that publishes its new epochs
-- KEYS[2]  its workers, by when they last asked
-- KEYS[3]  tenants of the lane by their finish tags
-- KEYS[4]  the same tenants by when they last asked
-- KEYS[5]  those of them that wait for more, by their finish tags
-- ARGV[1]  now in microseconds, or '' for the server's clock
-- ARGV[2]  tokens a second that are granted
-- ARGV[3]  share of these kept for Severe and above
-- ARGV[4]  'reserve', 'throttled' or 'succeeded'
-- reserve  ARGV[5] lane, [6] '1' for Severe and above, [7] tenant, [8] worker, [9] tokens,
--          [10] unit, [11] horizon in microseconds
-- report   ARGV[5] pause in microseconds
-- reply    now, epoch, tokens granted, first instant, their length, wait, workers; microseconds

local NEVER = -1e15
local WHOLE, LEAST_SHARE, SLOW_SHARE = 1000000, 50000, 100000
local FIRST_STEP, LAST_STEP = 20000, 320000
local USED_ENOUGH, WINDOW, OUTAGE = 0.8, 1000000, 10000000
local BURST, CHUNK_HIGH, CHUNK_LOW, MOST_TOKENS = 5000, 100000, 10000, 1000
local HORIZON_HIGH, HORIZON_SHORT = 1000000, 50000
local LIVE, ACTIVE, BLOCK_HIGH = 2000000, 500000, 1000000
local SLACK_CHUNKS, FAIR_WAIT_LEAST, FAIR_WAIT_MOST, WAIT_LEAST = 2, 5000, 50000, 1000
local WORKER = 10000000
local LIFE_MS, LINE_LIFE_MS = '3600000', '60000'

local call = redis.call
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

-- Whole numbers in full: Lua alone would round what has more than 14 digits.
local function text(number) return string.format('%.0f', number) end

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local rate, severe_share, verb = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local virtual_field = 'virtual_' .. (verb == 'reserve' and ARGV[5] or '')

local stored = call('HMGET', KEYS[1], 'at', 'high', 'low', 'high_at', 'epoch', 'share', 'step',
  'slow', 'window_at', 'used', 'cut_at', 'throttled_at', 'failing_at', 'blocked', virtual_field)
local function read(n, missing) return stored[n] and tonumber(stored[n]) or missing end
local at, high, low, high_at = read(1, now), read(2, NEVER), read(3, NEVER), read(4, NEVER)
local epoch, share, step, slow = read(5, 0), read(6, WHOLE), read(7, FIRST_STEP), read(8, 0)
local window_at, used, cut_at = read(9, NEVER), read(10, 0), read(11, NEVER)
local throttled_at, failing_at, blocked = read(12, NEVER), read(13, 0), read(14, NEVER)
local virtual = read(15, 0)
local workers = 0

local function live() return now - high_at < LIVE end

local function interval_of(limited)
  local interval = 1e12 / (rate * share)
  if limited then interval = interval / (1 - severe_share) end
  return interval
end

local function save()
  call('HSET', KEYS[1], 'at', text(now), 'high', text(high), 'low', text(low),
    'high_at', text(high_at), 'epoch', text(epoch), 'share', text(share), 'step', text(step),
    'slow', text(slow), 'window_at', text(window_at), 'used', text(used),
    'cut_at', text(cut_at), 'throttled_at', text(throttled_at),
    'failing_at', text(failing_at), 'blocked', text(blocked))
  call('PEXPIRE', KEYS[1], LIFE_MS)
end

-- Published at once: workers whose grants are void may not ask again for a while.
local function new_epoch()
  epoch = epoch + 1
  call('PUBLISH', KEYS[1], text(epoch))
end

local function reply(granted, start, length, wait)
  save()
  return {now, epoch, granted, start, length, wait, workers}
end

-- A clock that steps back moves all instants with it, or everybody would wait for it.
if now < at then
  local back = at - now
  high, low, high_at, window_at = high - back, low - back, high_at - back, window_at - back
  cut_at, throttled_at, blocked = cut_at - back, throttled_at - back, blocked - back
  if failing_at > 0 then failing_at = max(failing_at - back, 1) end
end

-- Raise the rate after a second without a 429 in which it was used.
if now - window_at >= WINDOW then
  local enough = USED_ENOUGH * (now - window_at) / interval_of(live())
  if share < WHOLE and used >= enough then
    if slow == 1 then
      share = min(WHOLE, 2 * share)
    else
      share = min(WHOLE, share + step)
      step = min(LAST_STEP, 2 * step)
    end
    if share >= WHOLE then slow, step = 0, FIRST_STEP end
  end
  window_at, used = now, 0
end

if verb == 'throttled' then
  local pause = tonumber(ARGV[5])
  -- Reservations within the pause are void.
  if pause > 0 and blocked <= now then new_epoch() end
  blocked = max(blocked, now + pause)
  if now - cut_at >= WINDOW then
    share = max(LEAST_SHARE, floor(share * 7 / 10))
    cut_at = now
  end
  if failing_at == 0 then failing_at = now end
  throttled_at, window_at, used, slow, step = now, now, 0, 0, FIRST_STEP
  return reply(0, now, 0, 0)
end

if verb == 'succeeded' then
  if failing_at > 0 and now - failing_at >= OUTAGE then
    share, slow = min(share, SLOW_SHARE), 1
    window_at, used = now, 0
  end
  failing_at = 0
  return reply(0, now, 0, 0)
end

local is_high, tenant = ARGV[6] == '1', ARGV[7]
local tokens, unit, horizon = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local now_text = text(now)

call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now - WORKER))
call('ZREMRANGEBYSCORE', KEYS[2], '(' .. now_text, '+inf')
call('ZADD', KEYS[2], now_text, ARGV[8])
call('PEXPIRE', KEYS[2], LINE_LIFE_MS)
workers = call('ZCARD', KEYS[2])

if tokens <= 0 then return reply(0, now, 0, 0) end
local until_unblocked = blocked
if is_high then until_unblocked = min(blocked, throttled_at + BLOCK_HIGH) end
if until_unblocked > now then
  return reply(0, now, 0, max(until_unblocked - now, WAIT_LEAST))
end

local limited = not is_high and live()
local interval = interval_of(limited)
local chunk = floor((is_high and CHUNK_HIGH or CHUNK_LOW) / interval)
chunk = min(max(chunk, unit), MOST_TOKENS)

-- Drop inactive tenants, and those from after now: the clock stepped back.
local function forget(from, to)
  for _, gone in ipairs(call('ZRANGEBYSCORE', KEYS[4], from, to)) do
    call('ZREM', KEYS[3], gone)
    call('ZREM', KEYS[4], gone)
    call('ZREM', KEYS[5], gone)
  end
end
forget('-inf', text(now - ACTIVE))
forget('(' .. now_text, '+inf')

local place = tonumber(call('ZSCORE', KEYS[3], tenant) or virtual)
if not call('ZSCORE', KEYS[5], tenant) then
  -- A tenant that was busy for a moment catches up on its share of it.
  local others = max(call('ZCARD', KEYS[3]), 1)
  place = max(place, virtual - floor(ACTIVE / interval / others))
end

local function note(granted)
  local finish = text(place + granted)
  call('ZADD', KEYS[3], finish, tenant)
  call('ZADD', KEYS[4], now_text, tenant)
  if granted < tokens then
    call('ZADD', KEYS[5], finish, tenant)
  else
    call('ZREM', KEYS[5], tenant)
  end
  local first = call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  virtual = max(virtual, first[2] and tonumber(first[2]) or place)
  call('HSET', KEYS[1], virtual_field, text(virtual))
  for n = 3, 5 do call('PEXPIRE', KEYS[n], LINE_LIFE_MS) end
end

-- The lowest finish tag of the other waiting tenants.
local waiting = call('ZRANGE', KEYS[5], 0, 1, 'WITHSCORES')
local least = waiting[1] ~= tenant and waiting[2] or waiting[4]
if least then
  local ahead = place - tonumber(least) - SLACK_CHUNKS * chunk
  if ahead > 0 then
    note(0)
    local wait = ceil(ahead * interval * call('ZCARD', KEYS[5]))
    return reply(0, now, 0, min(max(wait, FAIR_WAIT_LEAST), FAIR_WAIT_MOST))
  end
end

local start = max(high, now - BURST)
if not is_high then start = max(start, low) end
if is_high then horizon = HORIZON_HIGH end
if limited or call('ZCARD', KEYS[3]) > 1 then horizon = min(horizon, HORIZON_SHORT) end
local to = now + horizon
if start >= to then
  note(0)
  return reply(0, now, 0, max(start - to, WAIT_LEAST))
end
local fitting = min(chunk, ceil((to - start) / interval))
local granted = min(tokens, ceil(fitting / unit) * unit)
local length = ceil(granted * interval)
if is_high then
  if not live() then new_epoch() end
  high_at, high, low = now, start + length, low + length
else
  low = start + length
end
used = used + granted
note(granted)
return reply(granted, start, length, 0)

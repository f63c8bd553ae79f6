-- The citizen's budget: verdicts for many citizens of one shard in one atomic call.
--
-- The rules are those of budget_rules.py, checked by a differential test. Everything a verdict
-- depends on is an argument or stored. A citizen is asked for under the name of an evaluation, the
-- occasion: its idempotency key. Asked again under that name, the verdict is the same, and nothing
-- is charged twice.
--
-- KEYS     per bucket two: its records, its verdicts of this occasion
-- ARGV[1]  figures, 17 x u32: clock given (0 or 1), now, life of the records, spacing, spacing
--          window, room in the spacing for Moderate, Minor and routine; then for the days of these
--          three: step, window, room
-- ARGV[2]  questions, u16 each: per bucket the number of its spans; per span the number of its
--          citizens; per citizen class * 1024 + offset in the bucket, offsets ascending
-- reply    u16 per citizen, in order: 1 admitted; else the wait in units of 5 s, times 2, plus 1
--          where the day refuses and not the spacing
--
-- Records  16 bytes per citizen: u32 TATs of the spacing and the days of Moderate, Minor, routine.
-- Verdicts u32 instant of the last new one, then u16 per citizen as in the reply, 0 for none.
-- Instants are seconds since 2025-01-01 modulo 2^32. All integers have the low byte first.

local EPOCH = 1735689600
local WAIT_UNIT = 5
local REMEMBERED = 86400
local REMEMBERED_TEXT = '86400'
local BUCKET_CITIZENS = 1000
local BUCKET_BYTES = 16000
local VERDICT_BYTES = 2004
local LIST_BYTES = 516
local LIFE_SPARE = 3600
local NO_VERDICT, ADMITTED = '\0\0', '\1\0'

local call = redis.call
local unpack, pack = struct.unpack, struct.pack
local byte, sub, rep = string.byte, string.sub, string.rep
local concat, ceil = table.concat, math.ceil

local clock_given, now, life, spacing, spacing_window, hour_room_1, hour_room_2, hour_room_3,
  step_1, window_1, room_1, step_2, window_2, room_2, step_3, window_3, room_3 =
  unpack('<I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4', ARGV[1])
local hour_room = {hour_room_1, hour_room_2, hour_room_3}
local questions = ARGV[2]

if clock_given == 0 then
  now = (tonumber(call('TIME')[1]) - EPOCH) % 4294967296
end

local zeros, zeros_4 = rep('\0', VERDICT_BYTES), '\0\0\0\0'
local now_bytes = pack('<I4', now)

-- Refusals by number: few waits differ, and a look-up is cheaper than packing.
local refusals = {}

-- What became of a record, by class and by the record's own bytes: citizens who had the same
-- messages at the same time, or none for a day, have equal records, and there are many of them.
local verdict_of = {[0] = {}, {}, {}, {}}
local record_after = {[0] = {}, {}, {}, {}}

-- The verdict for one record, and the record as it stands after it.
local function decide(kind, record)
  local tat_0, tat_1, tat_2, tat_3 = unpack('<I4I4I4I4', record)
  -- Debts within their windows: also where the clock stepped back or a window became shorter.
  local debt_0, debt_3 = tat_0 - now, tat_3 - now
  if debt_0 < 0 then debt_0 = 0 elseif debt_0 > spacing_window then debt_0 = spacing_window end
  if debt_3 < 0 then debt_3 = 0 elseif debt_3 > window_3 then debt_3 = window_3 end
  local debt_1, debt_2
  if kind <= 2 then
    debt_2 = tat_2 - now
    if debt_2 < 0 then debt_2 = 0 elseif debt_2 > window_2 then debt_2 = window_2 end
    if kind <= 1 then
      debt_1 = tat_1 - now
      if debt_1 < 0 then debt_1 = 0 elseif debt_1 > window_1 then debt_1 = window_1 end
    end
  end
  if kind > 0 then
    local day_wait
    if kind == 1 then
      day_wait = debt_1 - room_1
    elseif kind == 2 then
      day_wait = debt_2 - room_2
    else
      day_wait = debt_3 - room_3
    end
    local hour_wait = debt_0 - hour_room[kind]
    if day_wait > 0 or hour_wait > 0 then
      local number
      if day_wait > 0 then
        number = ceil((day_wait > hour_wait and day_wait or hour_wait) / WAIT_UNIT) * 2 + 1
      else
        number = ceil(hour_wait / WAIT_UNIT) * 2
      end
      local verdict = refusals[number]
      if not verdict then
        verdict = pack('<I2', number)
        refusals[number] = verdict
      end
      return verdict, record
    end
  end
  debt_0, debt_3 = debt_0 + spacing, debt_3 + step_3
  if debt_0 > spacing_window then debt_0 = spacing_window end
  if debt_3 > window_3 then debt_3 = window_3 end
  -- A graver message takes room from lesser classes, a lesser one never from graver.
  if kind <= 2 then
    debt_2 = debt_2 + step_2
    if debt_2 > window_2 then debt_2 = window_2 end
    tat_2 = now + debt_2
    if kind <= 1 then
      debt_1 = debt_1 + step_1
      if debt_1 > window_1 then debt_1 = window_1 end
      tat_1 = now + debt_1
    end
  end
  return ADMITTED, pack('<I4I4I4I4', now + debt_0, tat_1, tat_2, now + debt_3)
end

-- Write records back, `known` bytes of which were there. A string that grows by SETRANGE may take twice its size, so once it is to
-- be longer than half a bucket it becomes a whole bucket, which never grows again.
local function store(key, from, records, known)
  local upto = from + #records
  if known < #records and upto > BUCKET_BYTES / 2 then
    local length = call('STRLEN', key)
    if length == 0 then
      call('SETRANGE', key, BUCKET_BYTES - 1, '\0')
    elseif length < BUCKET_BYTES then
      call('SET', key, call('GET', key) .. rep('\0', BUCKET_BYTES - length))
    end
  end
  call('SETRANGE', key, from, records)
end

-- What is known of a bucket's verdicts as a string with a place for each citizen, or as a table by offset.
local function recall(key)
  local known = call('GET', key)
  if not known or now - unpack('<I4', known) >= REMEMBERED then return false, false end
  if #known == VERDICT_BYTES then return known, false end
  local listed = {}
  for entry = 5, #known, 4 do
    local low, high = byte(known, entry, entry + 1)
    listed[low + high * 256] = sub(known, entry + 2, entry + 3)
  end
  return known, listed
end

-- Write the verdicts with the new ones. Few are a list to which later ones are added, the last
-- for a citizen being valid, because most buckets that an alert touches have few; many are a
-- string with a place for each citizen.
local function remember(key, known, listed, news, n)
  local pieces = {now_bytes}
  if (listed or not known) and #(known or '') + 2 * n < LIST_BYTES then
    if known then pieces[2] = sub(known, 5) end
    local p = #pieces
    for i = 1, n, 2 do
      pieces[p + i] = pack('<I2', news[i])
      pieces[p + i + 1] = news[i + 1]
    end
  else
    local before = known or zeros
    if listed then
      local places = {zeros_4}
      for offset = 0, BUCKET_CITIZENS - 1 do places[offset + 2] = listed[offset] or NO_VERDICT end
      before = concat(places)
    end
    local p, told = 1, 0
    for i = 1, n, 2 do
      local offset = news[i]
      if offset > told then
        p = p + 1
        pieces[p] = sub(before, told * 2 + 5, offset * 2 + 4)
      end
      p = p + 1
      pieces[p] = news[i + 1]
      told = offset + 1
    end
    pieces[p + 1] = sub(before, told * 2 + 5)
  end
  call('SET', key, concat(pieces), 'EX', REMEMBERED_TEXT)
end

local answers, answered = {}, 0
local at = 1

for k = 1, #KEYS, 2 do
  local key = KEYS[k]
  local known, listed = recall(KEYS[k + 1])
  -- New verdicts, offset and verdict by turns.
  local news, n = {}, 0
  local any_charged = false
  local low, high = byte(questions, at, at + 1)
  at = at + 2
  for _ = 1, low + high * 256 do
    low, high = byte(questions, at, at + 1)
    local count = low + high * 256
    low, high = byte(questions, at + 2, at + 3)
    local first = low + high % 4 * 256
    low, high = byte(questions, at + 2 * count, at + 2 * count + 1)
    local from, size = first * 16, (low + high % 4 * 256 - first + 1) * 16
    local stored = call('GETRANGE', key, from, from + size - 1)
    local length = #stored
    if length < size then stored = stored .. rep('\0', size - length) end
    local records, r, copied, charged = {}, 0, first, false
    for question = at + 2, at + 2 * count, 2 do
      low, high = byte(questions, question, question + 1)
      local offset = low + high % 4 * 256
      local kind = (high - high % 4) / 4
      local verdict = NO_VERDICT
      if listed then
        verdict = listed[offset] or NO_VERDICT
      elseif known then
        verdict = sub(known, offset * 2 + 5, offset * 2 + 6)
      end
      if verdict == NO_VERDICT or (kind == 0 and verdict ~= ADMITTED) then
        local position = (offset - first) * 16
        local record = sub(stored, position + 1, position + 16)
        verdict = verdict_of[kind][record]
        local after
        if verdict then
          after = record_after[kind][record]
        else
          verdict, after = decide(kind, record)
          verdict_of[kind][record] = verdict
          record_after[kind][record] = after
        end
        if verdict == ADMITTED then
          charged = true
          if offset > copied then
            r = r + 1
            records[r] = sub(stored, (copied - first) * 16 + 1, position)
          end
          r = r + 1
          records[r] = after
          copied = offset + 1
        end
        news[n + 1] = offset
        news[n + 2] = verdict
        n = n + 2
      end
      answered = answered + 1
      answers[answered] = verdict
    end
    at = at + 2 + 2 * count
    if charged then
      any_charged = true
      store(key, from, concat(records), length)
    end
  end
  if any_charged and call('TTL', key) < life then call('EXPIRE', key, life + LIFE_SPARE) end
  if n > 0 then remember(KEYS[k + 1], known, listed, news, n) end
end

return concat(answers)

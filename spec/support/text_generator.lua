-- Text for tests and measurements: the same seed gives the same bytes everywhere, and the exact counts are known.
--
--     local generator = require "spec.support.text_generator"
--     local text = generator.words { lines = 1000, width = 100, vocabulary = 10000, seed = 7 }
--     text.content            -- 1,000 lines of exactly 100 bytes, line end included
--     text.counts["the word"] -- how often each word occurs
--     generator.logs { lines = 1000, seed = 7 }.content      -- 70-byte lines of a server's log
--     generator.file(path, "words", { bytes = 64e6 })        -- straight into a file
--
-- Words occur as in natural language: the n-th most frequent one about 1/n times as often as the first (Zipf).

local ffi = require "ffi"

local generator = {}

-- A linear congruential generator modulo 2^31; the product stays below 2^53, so doubles are exact.
local function random_source(seed)
    local state = seed % 2147483648
    return function(limit)
        state = (state * 1103517 + 12345) % 2147483648
        return math.floor(state / 2147483648 * limit)
    end
end

local letters = "abcdefghijklmnopqrstuvwxyz"
local longest = 12

-- Distinct words of 1 to 12 letters; `by_length[n]` are the words of n letters.
local function make_vocabulary(size, random)
    local words, known, by_length = {}, {}, {}
    for length = 1, longest do
        by_length[length] = {}
    end
    local function add(word)
        if not known[word] then
            known[word] = true
            words[#words + 1] = word
            local same = by_length[#word]
            same[#same + 1] = word
        end
    end
    -- Every length occurs, so that any gap at the end of a line can be filled.
    for length = 1, longest do
        add(letters:sub(length, length):rep(length))
    end
    while #words < size do
        local word = {}
        for index = 1, 2 + random(6) + random(5) do
            local at = 1 + random(26)
            word[index] = letters:sub(at, at)
        end
        add(table.concat(word))
    end
    return words, by_length
end

-- A table of 65,536 word numbers in which each word occurs in proportion to its frequency.
local function make_zipf(size)
    local total = 0
    for rank = 1, size do
        total = total + 1 / rank
    end
    local slots = ffi.new("int32_t[65536]")
    local slot, sum = 0, 0
    for rank = 1, size do
        sum = sum + 1 / rank / total
        local last = math.min(65536, math.floor(sum * 65536 + 0.5))
        while slot < last do
            slots[slot] = rank
            slot = slot + 1
        end
    end
    while slot < 65536 do
        slots[slot] = size
        slot = slot + 1
    end
    return slots
end

-- A function that gives one line after the other, without line end, and counts words in `counts`.
local function word_lines(options, counts)
    local random = random_source(options.seed or 1)
    local width = (options.width or 100) - 1
    local words, by_length = make_vocabulary(options.vocabulary or 10000, random)
    local zipf = make_zipf(#words)

    return function()
        local line, left = {}, width
        local function put(word)
            line[#line + 1] = word
            left = left - #word - 1
            counts[word] = (counts[word] or 0) + 1
        end
        -- Words by frequency until two more fill the line, then one or two of exactly the right length.
        while left > 2 * longest do
            put(words[zipf[random(65536)]])
        end
        if left > longest then
            local same = by_length[math.floor((left - 1) / 2)]
            put(same[1 + random(#same)])
        end
        if left > 0 then
            local same = by_length[left]
            put(same[1 + random(#same)])
        end
        return table.concat(line, " ")
    end
end

local levels = { "INFO ", "INFO ", "INFO ", "INFO ", "DEBUG", "DEBUG", "WARN ", "ERROR" }
local verbs = { "GET ", "GET ", "GET ", "POST", "PUT " }

-- 70 bytes with the line end: time, level, client, verb, path, status, duration. One line in eight is an ERROR.
local function log_lines(options, counts)
    local random = random_source(options.seed or 1)
    local zipf = make_zipf(options.paths or 1000)
    local clock = 0
    return function()
        clock = clock + 1 + random(20)
        local level = levels[1 + random(#levels)]
        counts[level] = (counts[level] or 0) + 1
        local seconds = math.floor(clock / 1000)
        return string.format("%02d:%02d:%02d.%03d %s 10.%03d.%03d %s /item/%05d/details %3d %7d us",
            math.floor(seconds / 3600) % 24, math.floor(seconds / 60) % 60, seconds % 60, clock % 1000, level,
            random(4), random(250), verbs[1 + random(#verbs)], zipf[random(65536)], level == "ERROR" and 500 or 200,
            random(100000))
    end
end

local kinds = { words = word_lines, logs = log_lines }

local function generate(kind, options, write)
    local counts = {}
    local next_line = kinds[kind](options, counts)
    local wanted_lines, wanted_bytes = options.lines or math.huge, options.bytes or math.huge
    local lines, bytes = 0, 0
    while lines < wanted_lines and bytes < wanted_bytes do
        local line = next_line()
        write(line)
        write("\n")
        lines, bytes = lines + 1, bytes + #line + 1
    end
    return { lines = lines, bytes = bytes, counts = counts }
end

local function in_memory(kind, options)
    local pieces = {}
    local result = generate(kind, options, function(piece) pieces[#pieces + 1] = piece end)
    result.content = table.concat(pieces)
    return result
end

--- Lines of words. `lines` or `bytes` say how much; each line has `width` bytes (default 100) with its end.
---@param options { lines: integer?, bytes: number?, width: integer?, vocabulary: integer?, seed: integer? }
---@return { content: string, lines: integer, bytes: integer, counts: table<string, integer> }
function generator.words(options)
    return in_memory("words", options)
end

--- Lines of a log, 70 bytes each with its end. `counts` has how often each level occurs.
---@param options { lines: integer?, bytes: number?, paths: integer?, seed: integer? }
---@return { content: string, lines: integer, bytes: integer, counts: table<string, integer> }
function generator.logs(options)
    return in_memory("logs", options)
end

--- Writes such lines into a file. Returns what the functions above return, without the content.
---@param path string
---@param kind "words"|"logs"
---@param options table as above
function generator.file(path, kind, options)
    local file = assert(io.open(path, "wb"))
    file:setvbuf("full", 1048576)
    local result = generate(kind, options, function(piece) assert(file:write(piece)) end)
    assert(file:close())
    return result
end

return generator

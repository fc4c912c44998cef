-- The gmatch of workers gives exactly what string.gmatch gives: here side by side, and in workers through the public API.

local moontide = require "moontide"
local scan = require "moontide.worker.scan"

local gmatch = string.gmatch

local seed = 99
local function random(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
end

local function one_of(list) return list[random(#list)] end

-- All results with all captures, as one text; or the error.
local function results(make, text, pattern)
    local ok, all = pcall(function()
        local list = {}
        local function add(...)
            local parts = { select("#", ...) }
            for at = 1, select("#", ...) do
                local value = select(at, ...)
                parts[#parts + 1] = type(value) .. ":" .. tostring(value)
            end
            list[#list + 1] = table.concat(parts, "\1")
            return ... ~= nil
        end
        local it = make(text, pattern)
        local limit = 0
        while limit < 300 and add(it()) do limit = limit + 1 end
        add(it()) -- at its end it stays at its end
        return table.concat(list, "\2")
    end)
    -- Messages name the function as it is called: here make.
    return (ok and "" or "error: ") .. tostring(all):gsub("^.-:%d+: ", ""):gsub("to 'make'", "to 'gmatch'")
end

local function compare(text, pattern)
    local expected, got = results(gmatch, text, pattern), results(scan.gmatch, text, pattern)
    if expected ~= got then
        error(("pattern %q, text %q: %q instead of %q"):format(tostring(pattern), tostring(text), got, expected), 2)
    end
end

local ITEMS = { "%a", "%d", "%s", "%S", "%w", "%W", "%p", "%c", "%x", "%l", "%u", "%z", ".", "a", " ", ",", "[abc]", "[^,]", "[%w_]",
    "[^%s]", "[a-c]", "[%a-]", "[]]", "[^]]", "[%]]", "[^%]]", "[a%]", "[^^]", "[a^]", "%%", "%.", "%[", "%]", "%(", "%+", "%-", "^", "$",
    "[", "]", "%", "%b()", "%f[%a]", "%1", "-", "[a-]", "[-a]", "[%%]", "[%a%d]", "[^%a,;]", "[.]", "[+]", "()", "\128", "[\200-\255]" }

local function random_pattern()
    local kind = random(5)
    if kind <= 2 then return one_of(ITEMS) .. "+" end
    if kind == 3 then return "(" .. one_of(ITEMS) .. "+)" end
    local parts = {}
    for at = 1, random(3) do
        local item = one_of(ITEMS) .. one_of { "", "+", "*", "-", "?" }
        parts[at] = random(3) == 1 and "(" .. item .. ")" or item
    end
    return (random(8) == 1 and "^" or "") .. table.concat(parts) .. (random(8) == 1 and "$" or "")
end

local function random_text()
    local parts = {}
    for at = 1, random(40) - 1 do
        parts[at] = one_of { "a", "b", "c", "B", "1", "2", " ", "\t", "\n", ",", ";", "_", "-", ".", "%", "]", "[", "(", ")", "+", "^",
            "$", "\0", "\128", "\255", "abc", "  " }
    end
    return table.concat(parts)
end

describe("gmatch in workers", function()
    it("equals string.gmatch on random patterns and texts", function()
        for _ = 1, 4000 do compare(random_text(), random_pattern()) end
    end)

    it("equals string.gmatch for every single class", function()
        local every = {}
        for byte = 0, 255 do every[#every + 1] = string.char(byte) .. (byte % 3 == 0 and string.char(byte) or "") end
        local text = table.concat(every)
        for _, item in ipairs(ITEMS) do
            for _, form in ipairs { "%s+", "(%s+)", "%s", "%s*", "((%s+))", "()%s+", "%s+()", "%s%s+" } do
                local pattern = form:gsub("%%s", (item:gsub("%%", "%%%%")))
                compare(text, pattern)
                compare("", pattern)
            end
        end
    end)

    it("takes numbers, and refuses other things like string.gmatch", function()
        for _, subject in ipairs { 12345, 1.5, -0.25, 1e100 } do
            compare(subject, "%d+")
            compare(subject, "[^.]+")
        end
        compare("text", 5)
        compare("text", nil)
        compare(nil, "%S+")
        compare({}, "%S+")
        compare(true, "%S+")
        compare("text", {})
    end)

    it("scans by itself where the pattern is one class repeated", function()
        for _, pattern in ipairs { "%S+", "[^,]+", "([%w_]+)", ".+", "a+", "%%+", "[^%s]+", "(%d+)" } do
            assert.equal(scan.Scanner, getmetatable(scan.gmatch("text", pattern)), pattern)
        end
        for _, pattern in ipairs { "%S", "%S*", "()%S+", "%S+ ", "^%S+", "(%S)+", "%b()", "[]]+" } do
            assert.equal("function", type(scan.gmatch("text", pattern)), pattern)
        end
    end)

    it("forgets patterns when there are very many", function()
        for at = 1, 1100 do
            compare("a1b" .. at .. "c", "[a" .. at .. "]+")
        end
    end)

    describe("of a running context", function()
        local sc

        setup(function() sc = moontide.Context("local[2]", "scan") end)
        teardown(function() sc:stop() end)

        local texts = {}
        for at = 1, 200 do texts[at] = random_text() end

        local function expected(pattern)
            local list = {}
            for _, text in ipairs(texts) do
                for a, b in gmatch(text, pattern) do list[#list + 1] = b ~= nil and { a, b } or a end
            end
            return list
        end

        -- A flatMap of it, and it used by hand in all sorts of ways.
        local ways = {
            function(pattern) return function(text) return text:gmatch(pattern) end end,
            function(pattern) return function(text) return string.gmatch(text, pattern) end end,
            function(pattern)
                local find_all = string.gmatch
                return function(text) return find_all(text, pattern) end
            end,
            function(pattern)
                return function(text)
                    local list = {}
                    for word in text:gmatch(pattern) do list[#list + 1] = word end
                    return list
                end
            end,
            function(pattern)
                return function(text)
                    local it = text:gmatch(pattern)
                    return function() return it() end
                end
            end,
            function(pattern)
                return function(text)
                    local it, list = text:gmatch(pattern), {}
                    local first = it()
                    while first do
                        list[#list + 1] = first
                        first = it()
                    end
                    return list
                end
            end,
            function(pattern)
                local function pass(it) return it end
                return function(text)
                    local box = { it = text:gmatch(pattern) }
                    return pass(box.it)
                end
            end,
            function(pattern)
                return function(text)
                    return coroutine.wrap(function()
                        for word in text:gmatch(pattern) do coroutine.yield(word) end
                    end)
                end
            end,
        }

        it("gives the same words in every use", function()
            for _, pattern in ipairs { "%S+", "[^,]+", "(%a+)", "%a%d?", "()%a", "[%w]+" } do
                local words = expected(pattern)
                for index, way in ipairs(ways) do
                    local got = sc:parallelize(texts, 3):flatMap(way(pattern)):collect()
                    assert.same(words, got, pattern .. ", way " .. index)
                end
            end
        end)

        it("makes pairs of two captures and positions", function()
            for _, pattern in ipairs { "(%a)(%d)", "()(%a+)", "(%w+)()", "(%p)(%s*)" } do
                assert.same(expected(pattern), sc:parallelize(texts, 2):flatMap(function(text) return text:gmatch(pattern) end)
                    :collect(), pattern)
            end
        end)

        it("finds empty matches", function()
            local got = sc:parallelize({ "ab", "" }, 1):flatMap(function(text) return text:gmatch "%d*" end):collect()
            assert.same({ "", "", "", "" }, got)
        end)

        it("goes on where an iterator was left", function()
            local got = sc:parallelize({ "one two three", "four", "five six" }, 1):flatMap(function(text)
                local it = text:gmatch "%S+"
                it()
                return it
            end):collect()
            assert.same({ "two", "three", "six" }, got)
        end)

        it("gives nothing from an iterator that was used up", function()
            local got = sc:parallelize({ "a b", "c d", "e f" }, 1):mapPartitions(function(it)
                local seen = {}
                for text in it do
                    local words = text:gmatch "%S+"
                    for word in words do seen[#seen + 1] = word end
                    seen[#seen + 1] = tostring((words()))
                end
                return seen
            end):collect()
            assert.same({ "a", "b", "nil", "c", "d", "nil", "e", "f", "nil" }, got)
            local numbers, kept = {}, nil
            for at = 1, 300 do numbers[at] = at end
            got = sc:parallelize(numbers, 1):flatMap(function(x)
                if x % 100 == 1 then kept = ("w" .. x .. " w"):gmatch "%S+" end
                return kept
            end):collect()
            assert.same({ "w1", "w", "w101", "w", "w201", "w" }, got)
        end)

        it("mixes with other iterators in one flatMap", function()
            local input, words = {}, {}
            for at = 1, 3000 do
                input[at] = "w" .. at .. " x"
                words[#words + 1] = "w" .. at
                if at % 7 ~= 0 then words[#words + 1] = "x" end
            end
            local got = sc:parallelize(input, 1):flatMap(function(text)
                local n = tonumber(text:match "%d+")
                if n % 7 == 0 then return { text:match "%S+" } end
                if n % 5 == 0 then return text:gmatch "(%S+) *" end
                return text:gmatch "%S+"
            end):collect()
            assert.same(words, got)
        end)

        it("raises the errors of string.gmatch at the script's line", function()
            local ok, err = pcall(function()
                return sc:parallelize({ "a" }, 1):flatMap(function(text) return text:gmatch "[a" end):collect()
            end)
            assert.is_false(ok)
            assert.matches("scan_spec%.lua:%d+: malformed pattern", tostring(err))
        end)
    end)
end)

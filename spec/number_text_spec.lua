-- Numbers as text: nothing is lost on the way to people, files and commands.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local number_text = require "moontide.base.number_text"
local tempdir = require "spec.support.tempdir"

-- Each with the text it has to have.
local SHOWN = {
    { 1530239065.807368, "1530239065.807368" }, { 717438855724142592, "717438855724142592" },
    { 0.1 + 0.2, "0.30000000000000004" }, { 14.902199745199999, "14.902199745199999" }, { 1 / 3, "0.3333333333333333" },
    { 0.1, "0.1" }, { -2.5, "-2.5" }, { 1e300, "1e+300" }, { 5e-324, "5e-324" }, { 2 ^ -1022, "2.2250738585072014e-308" },
    { 2 ^ 53 + 2, "9007199254740994" }, { 2 ^ 63, "9223372036854775808" }, { -2 ^ 63, "-9223372036854775808" },
    { 2 ^ 64, "1.8446744073709552e+19" }, { 9007199254740993LL, "9007199254740993" },
    { 18446744073709551615ULL, "18446744073709551615" }, { -9223372036854775807LL - 1LL, "-9223372036854775808" },
    { math.huge, "inf" }, { -math.huge, "-inf" }, { 0 / 0, "nan" }, { -(0 / 0), "nan" }, { tonumber("-0"), "0" },
}

local function columns()
    local numbers, texts = {}, {}
    for index, case in ipairs(SHOWN) do
        numbers[index], texts[index] = case[1], case[2]
    end
    return numbers, texts
end

local function lines_of(path)
    local lines = {}
    for line in io.lines(path) do
        lines[#lines + 1] = line
    end
    return lines
end

describe("a number as text", function()
    it("has all digits it needs and none more", function()
        for _, case in ipairs(SHOWN) do
            assert.equal(case[2], number_text(case[1]))
        end
    end)

    it("reads back as the same number, whatever its bits", function()
        local ffi = require "ffi"
        local both = ffi.new "union { double number; uint32_t words[2]; }"
        local random = require("moontide.base.random").new(os.time(), 0)
        for _ = 1, 20000 do
            -- No infinity and no NaN: to LuaJIT some of these bits would be another type.
            local sign, exponent = math.floor(random() * 2), math.floor(random() * 2047)
            both.words[0], both.words[1] = random() * 2 ^ 32, (sign * 2048 + exponent + random()) * 2 ^ 20
            local x = both.number
            local text = number_text(x)
            assert(tonumber(text) == x, text)
            assert(#text <= #("%.17g"):format(x) or x == math.floor(x), text)
        end
    end)
end)

describe("numbers that leave the program", function()
    engine.watch(after_each)

    local numbers, texts = columns()

    it("keep their digits in text files, alone, in pairs and in tables", function()
        local sc = engine.context("local[2]")
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local all = sc:parallelize(numbers, 1)
        all:saveAsTextFile(dir:file("single"))
        all:map(function(x) return "k", x end):saveAsTextFile(dir:file("pairs"))
        all:map(function(x) return { x, { v = x } } end):saveAsTextFile(dir:file("tables"))
        assert.same(texts, lines_of(dir:file("single/part-00000")))
        for index, line in ipairs(lines_of(dir:file("pairs/part-00000"))) do
            assert.equal("(k," .. texts[index] .. ")", line)
        end
        for index, line in ipairs(lines_of(dir:file("tables/part-00000"))) do
            assert.equal("[" .. texts[index] .. ",{v=" .. texts[index] .. "}]", line)
        end
    end)

    it("keep their digits in Hadoop's text format and in a stream's text files", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local ssc = engine.streaming(1000)
        local stream = ssc:queueStream({ numbers }):repartition(1):map(function(x) return x == x and "k" or "n", x end)
        stream:saveAsTextFiles(dir:file("text"))
        stream:saveAsHadoopFiles(dir:file("hadoop"), nil, { format = "text" })
        ssc:start()
        engine.advance(ssc)
        local wanted_text, wanted_hadoop = {}, {}
        for index, x in ipairs(numbers) do
            local key = x == x and "k" or "n"
            wanted_text[index], wanted_hadoop[index] = "(" .. key .. "," .. texts[index] .. ")", key .. "\t" .. texts[index]
        end
        local function sorted_lines(path)
            local lines = lines_of(path)
            table.sort(lines)
            return lines
        end
        table.sort(wanted_text)
        table.sort(wanted_hadoop)
        assert.same(wanted_text, sorted_lines(dir:file("text-1000/part-00000")))
        assert.same(wanted_hadoop, sorted_lines(dir:file("hadoop-1000/part-00000")))
    end)

    it("keep their digits on the way to a command and in its environment", function()
        local sc = engine.context("local[1]")
        assert.same(texts, sc:parallelize(numbers, 1):pipe("cat"):collect())
        assert.same({ "717438855724142592 0.30000000000000004" }, sc:parallelize({ 1 }, 1)
            :pipe({ "sh", "-c", "cat > /dev/null; echo $BIG $SUM" }, { BIG = 717438855724142592, SUM = 0.1 + 0.2 }):collect())
    end)

    it("keep their digits in what print shows", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local script = dir:write("job.lua", [[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "numbers", 10)
            local stream = ssc:queueStream({ { 1530239065.807368, 717438855724142592, 0.1 + 0.2, 9007199254740993LL } })
            stream:print()
            stream:foreachRDD(function() ssc:stop(true, true) end)
            ssc:start()
            ssc:awaitTermination()
        ]])
        local pipe = assert(io.popen("build/bin/moontide run " .. script .. " 2>&1"))
        local shown = pipe:read("*a")
        pipe:close()
        assert.matches("\n1530239065.807368\n717438855724142592\n0.30000000000000004\n9007199254740993\n", shown, 1, true)
    end)

    it("keep their digits in accumulators, statistics and messages", function()
        local sc = engine.context("local[1]")
        local sum = sc:accumulator(0, nil, "sum")
        sc:parallelize({ 717438855724142592, 0 }, 1):foreach(function(x) sum:add(x) end)
        assert.equal("Accumulator 'sum' (717438855724142592)", tostring(sum))
        assert.equal("(count: 1, mean: 0.30000000000000004, stdev: 0, max: 0.30000000000000004, min: 0.30000000000000004)",
            tostring(sc:parallelize({ 0.1 + 0.2 }, 1):stats()))
        assert.matches("record: ({1530239065.807368, 9007199254740993LL}, 717438855724142592)", engine.message(function()
            sc:parallelizePairs({ { { 1530239065.807368, 9007199254740993LL }, 717438855724142592 } })
                :map(function() error("no") end):collect()
        end), 1, true)
        assert.matches("got 1.0000000000000002", engine.message(function()
            sc:parallelize({ 1 }):sample(false, 1.0000000000000002)
        end), 1, true)
        assert.matches("0.30000000000000004 ms", engine.message(function() moontide.milliseconds(0.1 + 0.2) end), 1, true)
    end)
end)

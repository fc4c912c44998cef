-- Files both ways between Moontide and Hadoop's own reader and writer, on the JVM: all writables, plain and compressed, in
-- one piece and in splits. Where there is no JVM each test is pending and says why.

local engine = require "spec.support.engine"
local ffi = require "ffi"
local hadoop = require "spec.support.hadoop"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""
local FEW, MANY = sanitized and 200 or 1000, sanitized and 5000 or 10000

-- Value i of a writable, as SequenceTool.sample makes it.
local samples = {
    Text = function(i)
        if i % 5 == 0 then
            return ""
        end
        local letters = {}
        for j = 0, i % 150 - 1 do
            letters[#letters + 1] = string.char(97 + (i + j) % 26)
        end
        return "tä" .. i .. table.concat(letters)
    end,
    BytesWritable = function(i)
        local bytes = {}
        for j = 0, i % 300 - 1 do
            bytes[#bytes + 1] = string.char(math.floor((i * 7919 + j * (i + j) * 31) / 8) % 256)
        end
        return table.concat(bytes)
    end,
    IntWritable = function(i)
        return i % 4 == 0 and 2147483647 - i or i % 4 == 1 and -2147483648 + i or i - 500
    end,
    LongWritable = function(i)
        local largest = 9223372036854775807LL
        if i % 4 == 0 then
            return largest - i
        elseif i % 4 == 1 then
            return -largest - 1LL + i
        end
        return i % 4 == 2 and 2 ^ 40 * i or i - 500
    end,
    FloatWritable = function(i)
        return i == 3 and math.huge or i / 8 - 20
    end,
    DoubleWritable = function(i)
        return i == 3 and -math.huge or i == 4 and -0.0 or i == 5 and 1e300 or i / 8 - 20
    end,
    BooleanWritable = function(i)
        return i % 3 == 0
    end,
    NullWritable = function()
        return moontide.null
    end,
}
-- A constant -0.0 may lose its sign when Lua folds it.
local minus_zero = tonumber("-0")
local double_sample = samples.DoubleWritable
samples.DoubleWritable = function(i)
    if i == 4 then
        return minus_zero
    end
    return double_sample(i)
end

local DIGITS = {}
for byte = 0, 255 do
    DIGITS[string.char(byte)] = string.format("%02x", byte)
end

local function hex(text)
    return (text:gsub(".", DIGITS))
end

local function bits(ctype, number)
    local box = ffi.new(ctype .. "[1]", number)
    local bytes = ffi.string(box, ffi.sizeof(box)):reverse()
    return (hex(bytes):gsub("^0+(.)", "%1"))
end

-- As SequenceTool.show writes a value.
local shows = {
    Text = hex,
    BytesWritable = hex,
    IntWritable = function(number) return string.format("%.0f", number) end,
    LongWritable = function(number)
        return type(number) == "number" and string.format("%.0f", number) or (tostring(number):gsub("LL$", ""))
    end,
    FloatWritable = function(number) return bits("float", number) end,
    DoubleWritable = function(number) return bits("double", number) end,
    BooleanWritable = tostring,
    NullWritable = tostring,
}

local made = {}

-- Lines of the first `count` records.
local function expected(key, value, count)
    local name = key .. value .. count
    if made[name] then
        return made[name]
    end
    local lines = {}
    made[name] = lines
    for i = 0, count - 1 do
        lines[#lines + 1] = shows[key](samples[key](i)) .. " " .. shows[value](samples[value](i))
    end
    return lines
end

local function shown(pairs_list, key, value)
    local lines = {}
    for index, pair in ipairs(pairs_list) do
        lines[index] = shows[key](pair[1]) .. " " .. shows[value](pair[2])
    end
    return lines
end

local function sorted(lines)
    local copy = {}
    for index, line in ipairs(lines) do
        copy[index] = line
    end
    table.sort(copy)
    return copy
end

-- assert.same of long lists takes its time and prints them all.
local function assert_lines(wanted, got)
    for index = 1, math.max(#wanted, #got) do
        if wanted[index] ~= got[index] then
            assert.equal(("%d: %s"):format(index, wanted[index]), ("%d: %s"):format(index, got[index]))
        end
    end
end

local KINDS = {
    { "Text", "IntWritable" }, { "IntWritable", "Text" }, { "LongWritable", "BytesWritable" },
    { "BytesWritable", "LongWritable" }, { "FloatWritable", "BooleanWritable" }, { "BooleanWritable", "FloatWritable" },
    { "DoubleWritable", "NullWritable" }, { "NullWritable", "DoubleWritable" },
}

local OURS = { { name = "plain", compress = false }, { name = "with compressed blocks", compress = true } }
local THEIRS = { "NONE DefaultCodec", "RECORD DefaultCodec", "BLOCK DefaultCodec", "BLOCK DeflateCodec" }
local HEADS = { [false] = "NONE none", [true] = "BLOCK DefaultCodec" }

-- What Hadoop is asked to do, all in one run because starting it takes its time; and where each answer will be.
local work = { commands = {}, at = {} }

function work.add(name, ...)
    work.commands[#work.commands + 1] = { ... }
    work.at[name] = #work.commands
end

local function records(sc, key, value, count, partitions)
    local list = {}
    for i = 0, count - 1 do
        list[i + 1] = { samples[key](i), samples[value](i) }
    end
    return sc:parallelizePairs(list, partitions)
end

-- Writes our files, and asks for theirs.
local function prepare(dir)
    local sc = moontide.Context("local[2]", "spec")
    for _, how in ipairs(OURS) do
        for index, kinds in ipairs(KINDS) do
            local name = ("ours %s %d"):format(how.name, index)
            records(sc, kinds[1], kinds[2], FEW, 1):saveAsHadoopFile(dir:file(name),
                { key = kinds[1], value = kinds[2], compress = how.compress })
            work.add(name, "dump", dir:file(name .. "/part-00000"))
        end
        local name = "split " .. how.name
        records(sc, "Text", "BytesWritable", MANY, 2):saveAsHadoopFile(dir:file(name),
            { value = "BytesWritable", compress = how.compress })
        work.add(name, "splits", dir:file(name), 9)
        name = "objects " .. how.name
        sc:parallelize({ "a", 1, true, { 1, { x = "y" } }, 5, 6, 7, 8, 9, 10, 11 }, 1)
            :saveAsObjectFile(dir:file(name), { compress = how.compress })
        work.add(name, "dump", dir:file(name .. "/part-00000"))
        name = "pairs " .. how.name
        sc:parallelizePairs({ { "k", 1 }, { 2, moontide.null } }, 1)
            :saveAsObjectFile(dir:file(name), { compress = how.compress })
        work.add(name, "dump", dir:file(name .. "/part-00000"))
    end
    for _, how in ipairs(THEIRS) do
        local compression, codec = how:match("(%S+) (%S+)")
        for index, kinds in ipairs(KINDS) do
            local name = ("theirs %s %d"):format(how, index)
            work.add(name, "write", dir:file(name), kinds[1], kinds[2], compression, codec, FEW)
        end
        work.add("large " .. how, "write", dir:file("large " .. how), "Text", "BytesWritable", compression, codec, MANY)
    end
    for index, kinds in ipairs(KINDS) do
        work.add("lines " .. index, "text", dir:file("lines " .. index), kinds[1], kinds[2], FEW)
    end
    work.add("lines null", "text", dir:file("lines null"), "NullWritable", "NullWritable", FEW)
    assert(sc:stop())
end

describe("Moontide and Hadoop:", function()
    engine.watch(after_each)
    local answers, reason, dir

    lazy_setup(function()
        local tool
        dir = tempdir.new()
        tool, reason = hadoop.tool()
        if tool then
            -- On a stack of its own, so that nothing on this one keeps its datasets alive.
            coroutine.wrap(prepare)(dir)
            answers = tool(work.commands)
        end
    end)
    lazy_teardown(function() dir:remove() end)

    -- A test that Hadoop is needed for.
    local function test(name, run)
        it(name, function()
            if not answers then
                pending("Hadoop cannot run here: " .. reason)
            end
            run()
        end)
    end

    local function answer(name) return { unpack(answers[work.at[name]]) } end

    for _, how in ipairs(OURS) do
        test("Hadoop reads what saveAsHadoopFile writes, " .. how.name, function()
            for index, kinds in ipairs(KINDS) do
                local lines = answer(("ours %s %d"):format(how.name, index))
                assert.equal(("%s %s %s"):format(kinds[1], kinds[2], HEADS[how.compress]), table.remove(lines, 1))
                assert_lines(expected(kinds[1], kinds[2], FEW), lines)
            end
        end)

        test("Hadoop reads it in splits, " .. how.name, function()
            local lines = answers[work.at["split " .. how.name]]
            assert.is_true(tonumber(table.remove(lines):match("^splits (%d+)$")) >= 4)
            assert_lines(sorted(expected("Text", "BytesWritable", MANY)), sorted(lines))
        end)

        test("Hadoop reads object files, " .. how.name, function()
            local head = "NullWritable BytesWritable " .. HEADS[how.compress]
            assert.same({ head, "null 01a16101c3920181a178a17905060708090a", "null 010b" }, answer("objects " .. how.name))
            assert.same({ head, "null 02a16b0102c70001" }, answer("pairs " .. how.name))
        end)
    end

    for _, how in ipairs(THEIRS) do
        test("sequenceFile reads what Hadoop writes: " .. how, function()
            local sc = engine.context()
            for index, kinds in ipairs(KINDS) do
                local list = sc:sequenceFile(dir:file(("theirs %s %d"):format(how, index))):collect()
                assert_lines(expected(kinds[1], kinds[2], FEW), shown(list, kinds[1], kinds[2]))
            end
        end)

        test("sequenceFile reads Hadoop's files in splits: " .. how, function()
            local sc = engine.context()
            local path = dir:file("large " .. how)
            local wanted = expected("Text", "BytesWritable", MANY)
            for _, n in ipairs({ 1, 3, 50 }) do
                local rdd = sc:sequenceFile(path, n)
                assert.is_true(rdd:getNumPartitions() >= n)
                assert_lines(wanted, shown(rdd:collect(), "Text", "BytesWritable"))
            end
            -- The work is divided, not done by one.
            local filled = 0
            for _, list in ipairs(sc:sequenceFile(path, 3):glom():collect()) do
                filled = filled + (#list > 0 and 1 or 0)
            end
            assert.is_true(filled >= 2, "only " .. filled .. " partitions have records")
        end)
    end

    test("format = \"text\" writes what TextOutputFormat writes", function()
        local sc = engine.context()
        for index, kinds in ipairs(KINDS) do
            local name = "our lines " .. index
            records(sc, kinds[1], kinds[2], FEW, 1):saveAsHadoopFile(dir:file(name),
                { key = kinds[1], value = kinds[2], format = "text" })
            local theirs = dir:read("lines " .. index)
            assert.is_true(#theirs > 2 * FEW)
            assert.is_true(theirs == dir:read(name .. "/part-00000"), "other lines for " .. kinds[1] .. ", " .. kinds[2])
        end
        records(sc, "NullWritable", "NullWritable", FEW, 1):saveAsHadoopFile(dir:file("our lines null"), { format = "text" })
        assert.equal(dir:read("lines null"), dir:read("our lines null/part-00000"))
        assert.equal("", dir:read("lines null"))
    end)
end)

-- sc:sequenceFile: what it reads, in how many partitions, and what it says about files that are none.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"

local message = engine.message
local null = moontide.null

describe("sequenceFile", function()
    engine.watch(after_each)
    local sc, dir

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
    end)
    after_each(function() dir:remove() end)

    local function write(name, pairs_list, options, n)
        sc:parallelizePairs(pairs_list, n or 1):saveAsHadoopFile(dir:file(name), options)
        return dir:file(name)
    end

    -- Many pairs, of which pair i has the key i.
    local function many(count, length)
        local list = {}
        for i = 1, count do
            list[i] = { i, ("%d "):format(i):rep(length):sub(1, length) }
        end
        return list
    end

    it("gives each writable as a Lua value", function()
        local cases = {
            { "Text", { "", "a", "tä\0\255", ("x"):rep(100000) } },
            { "BytesWritable", { "", "\0\1\255", ("y"):rep(100000) } },
            { "IntWritable", { 0, 1, -1, 127, 128, -32, -33, 2147483647, -2147483648 } },
            { "LongWritable", { 0, -5, 2147483648, -2147483649, 2 ^ 53, -2 ^ 53 } },
            { "FloatWritable", { 0, 1.5, -0.25, 16777216, math.huge, -math.huge } },
            { "DoubleWritable", { 0, 0.1, -1e300, 4294967296.5, 2 ^ 53 + 2, math.huge } },
            { "BooleanWritable", { true, false } },
            { "NullWritable", { null } },
        }
        for _, compress in ipairs({ false, true }) do
            for _, case in ipairs(cases) do
                local kind, values = case[1], case[2]
                local as_keys, as_values = {}, {}
                for index, value in ipairs(values) do
                    as_keys[index], as_values[index] = { value, index }, { index, value }
                end
                local name = kind .. tostring(compress)
                write(name .. "-k", as_keys, { key = kind, value = "IntWritable", compress = compress })
                write(name .. "-v", as_values, { key = "LongWritable", value = kind, compress = compress })
                assert.same(as_keys, sc:sequenceFile(dir:file(name .. "-k")):collect())
                assert.same(as_values, sc:sequenceFile(dir:file(name .. "-v")):collect())
            end
        end
    end)

    it("gives whole numbers beyond 2^53 as int64, and keeps -0 and NaN", function()
        local largest = 9223372036854775807LL
        write("long", { { "a", largest }, { "b", -largest - 1LL }, { "c", 2 ^ 53 + 2 } }, { value = "LongWritable" })
        local list = sc:sequenceFile(dir:file("long")):map(function(k, v) return k, type(v) .. " " .. tostring(v) end)
        assert.same({ { "a", "cdata 9223372036854775807LL" }, { "b", "cdata -9223372036854775808LL" },
            { "c", "cdata 9007199254740994LL" } }, list:collect())
        write("double", { { "a", tonumber("-0") }, { "b", 0 / 0 } }, { value = "DoubleWritable" })
        local doubles = sc:sequenceFile(dir:file("double")):collect()
        assert.equal(-math.huge, 1 / doubles[1][2])
        assert.is_true(doubles[2][2] ~= doubles[2][2])
    end)

    it("rounds what a FloatWritable does not hold exactly", function()
        write("float", { { "a", 0.1 } }, { value = "FloatWritable" })
        assert.near(0.1, sc:sequenceFile(dir:file("float")):collect()[1][2], 1e-8)
    end)

    it("is a dataset of pairs like any other", function()
        write("counts", { { "a", 1 }, { "b", 2 }, { "a", 3 } }, { value = "IntWritable" }, 2)
        local counts = sc:sequenceFile(dir:file("counts"))
        assert.same({ "(a,4)", "(b,2)" }, engine.sorted(counts:reduceByKey(function(a, b) return a + b end)
            :map(function(k, n) return ("(%s,%d)"):format(k, n) end):collect()))
        assert.equal(3, counts:count())
        assert.same({ "a", 1 }, counts:first())
        assert.matches("sequenceFile", counts:toDebugString(), 1, true)
    end)

    it("reads a file, a directory without its hidden files, and what a pattern matches", function()
        write("out", { { "a", "1" }, { "b", "2" }, { "c", "3" } }, nil, 3)
        dir:write("out/.part-00000.crc", "checksum")
        dir:write("out/_logs", "log")
        assert.same({ { "b", "2" } }, sc:sequenceFile(dir:file("out/part-00001")):collect())
        assert.equal(3, sc:sequenceFile(dir:file("out")):count())
        assert.equal(2, sc:sequenceFile(dir:file("out/part-0000[02]")):count())
    end)

    it("reads an empty dataset back", function()
        write("empty", {}, { key = "IntWritable" }, 2)
        assert.same({}, sc:sequenceFile(dir:file("empty")):collect())
        sc:emptyRDD():saveAsHadoopFile(dir:file("none"))
        assert.same({}, sc:sequenceFile(dir:file("none")):collect())
    end)

    for _, compress in ipairs({ false, true }) do
        it("reads one big file in several partitions" .. (compress and ", compressed" or ""), function()
            -- Each block of a compressed file holds 1 MB.
            local list = many(compress and 30000 or 5000, 200)
            local path = write("big", list, { key = "IntWritable", compress = compress }) .. "/part-00000"
            for _, n in ipairs({ 1, 2, 3, 7, 40 }) do
                local rdd = sc:sequenceFile(path, n)
                assert.is_true(rdd:getNumPartitions() >= n)
                assert.same(list, rdd:collect())
            end
            local sizes = sc:sequenceFile(path, 4):glom():map(function(records) return #records end):collect()
            local filled = 0
            for _, size in ipairs(sizes) do
                filled = filled + (size > 0 and 1 or 0)
            end
            assert.equal(4, filled)
        end)
    end

    it("reads no more than take needs", function()
        local path = write("big", many(5000, 200), { key = "IntWritable" }) .. "/part-00000"
        -- The second half is no SequenceFile any more.
        local file = assert(io.open(path, "r+b"))
        file:seek("set", 600000)
        file:write(("x"):rep(300000))
        file:close()
        assert.equal(3, sc:sequenceFile(path, 1):take(3)[3][1])
        assert.matches("or is damaged", message(function() sc:sequenceFile(path, 1):collect() end), 1, true)
    end)

    it("keeps no file open", function()
        local path = write("big", many(5000, 200), { key = "IntWritable" }) .. "/part-00000"
        local function open_files()
            local count = 0
            for _, name in ipairs(require("moontide.driver.files").list("/proc/self/fd")) do
                count = count + (name and 1 or 0)
            end
            return count
        end
        sc:sequenceFile(path, 4):take(1)
        local before = open_files()
        for _ = 1, 20 do
            sc:sequenceFile(path, 4):take(1)
            sc:sequenceFile(path, 4):count()
            -- Of one partition: when one task of several fails, the others may still be at work.
            local failing = sc:sequenceFile(path, 1):map(function() error("no") end)
            message(failing.collect, failing)
        end
        assert.equal(before, open_files())
    end)

    it("says where it was called when a path is not there", function()
        assert.matches("sequence_file_spec.lua:%d+: sequenceFile: there is no file or directory .*/none",
            message(function() sc:sequenceFile(dir:file("none")) end))
        assert.matches("sequence_file_spec.lua:%d+: bad argument #1 to 'sequenceFile' %(string expected, got nil%)",
            message(function() sc:sequenceFile() end))
        assert.matches("sequence_file_spec.lua:%d+: bad argument #2 to 'sequenceFile' %(number of partitions",
            message(function() sc:sequenceFile(dir.path, 0) end))
        local stopped = engine.context()
        stopped:stop()
        assert.matches("the context is stopped", message(function() stopped:sequenceFile(dir.path) end), 1, true)
    end)

    describe("names path, byte and operator of a file", function()
        local function expect(name, content, expected)
            dir:write(name, content)
            local rdd = sc:sequenceFile(dir:file(name), 1)
            local text = message(function() rdd:count() end)
            assert.matches("sequence_file_spec.lua:%d+: sequenceFile: ", text)
            assert.matches(dir:file(name) .. ": " .. expected, text, 1, true)
            assert.matches("in sequenceFile %(.*sequence_file_spec.lua:%d+%), partition 0", text)
        end

        local function plain()
            return dir:read(write("plain", { { "a", "b" }, { "c", "d" } }):match("([^/]+)$") .. "/part-00000")
        end

        it("that is none", function()
            expect("text", "hello, world\n", "at byte 0: it is no SequenceFile, which begins with SEQ; it begins with hello, w")
        end)

        it("that is empty", function()
            expect("empty", "", "at byte 0: the file is empty")
        end)

        it("that ends in its header", function()
            expect("head", plain():sub(1, 30), "at byte 0: the file ends at byte 30, inside its header")
        end)

        it("that ends in a record", function()
            local content = plain()
            expect("cut", content:sub(1, -2), ("at byte %d: the record there is longer than the file, which ends at byte %d")
                :format(#content - 12, #content - 1))
        end)

        it("of another version", function()
            expect("old", "SEQ\4" .. plain():sub(5), "at byte 3: it is a SequenceFile of version 4")
        end)

        it("with a class that is not read", function()
            expect("class", "SEQ\6\14com.example.Me" .. plain():sub(30), "at byte 4: the class of the keys is com.example.Me, "
                .. "which is not read here")
        end)
    end)
end)

-- saveAsHadoopFile and saveAsHadoopFiles: formats, writables, what does not fit; and skipEmpty of all outputs of streams
-- that write files. What Hadoop itself says to the files is in hadoop_interop_spec.lua.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"

local message = engine.message
local null = moontide.null

local function list_of(path) return require("moontide.driver.files").list(path) end

describe("saveAsHadoopFile", function()
    engine.watch(after_each)
    local sc, dir

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
    end)
    after_each(function() dir:remove() end)

    local function save(pairs_list, options)
        sc:parallelizePairs(pairs_list, 1):saveAsHadoopFile(dir:file("out"), options)
        local content = dir:read("out/part-00000")
        os.execute("rm -r " .. dir:file("out"))
        return content
    end

    describe("as a sequence", function()
        it("writes a part for each partition, then _SUCCESS", function()
            sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 3):saveAsHadoopFile(dir:file("deep/out"),
                { key = "Text", value = "IntWritable" })
            assert.same({ "_SUCCESS", "part-00000", "part-00001", "part-00002" }, list_of(dir:file("deep/out")))
            local content = dir:read("deep/out/part-00001")
            assert.equal("SEQ\6\25org.apache.hadoop.io.Text\32org.apache.hadoop.io.IntWritable\0\0\0\0\0\0", content:sub(1, 69))
            assert.equal("\0\0\0\6\0\0\0\2\1a\0\0\0\1", content:sub(86))
            assert.equal(85, #dir:read("deep/out/part-00000"))
        end)

        it("has two Texts unless told otherwise", function()
            assert.matches("^SEQ\6\25org.apache.hadoop.io.Text\25org.apache.hadoop.io.Text", save({ { "a", "b" } }))
        end)

        it("takes full class names too", function()
            assert.matches("io.LongWritable", save({ { "a", 5 } }, { value = "org.apache.hadoop.io.LongWritable" }), 1, true)
        end)

        it("works on what shuffles give", function()
            sc:parallelize({ "a", "b", "a" }, 2):map(function(w) return w, 1 end)
                :reduceByKey(function(a, b) return a + b end, 2)
                :saveAsHadoopFile(dir:file("out"), { value = "IntWritable" })
            assert.same({ "[a,2]", "[b,1]" }, engine.sorted(sc:sequenceFile(dir:file("out")):collect()))
        end)
    end)

    describe("as text", function()
        it("writes lines of key, tab, value", function()
            assert.equal("a\t1\nb\t2\n", save({ { "a", 1 }, { "b", 2 } }, { format = "text" }))
            assert.equal("x\t[1,{a=b}]\ntrue\t0.5\n", save({ { "x", { 1, { a = "b" } } }, { true, 0.5 } }, { format = "text" }))
        end)

        it("leaves out what is null", function()
            local list = { { "key", null }, { null, "value" }, { null, null }, { "", "" } }
            assert.equal("key\nvalue\n\t\n", save(list, { format = "text" }))
            assert.equal("1\n2\n", save({ { null, 1 }, { null, 2 } },
                { key = "NullWritable", value = "IntWritable", format = "text" }))
        end)

        it("shows writables as Hadoop does", function()
            local function text(kind, value)
                return save({ { "k", value } }, { format = "text", value = kind }):match("^k\t(.*)\n$")
            end
            assert.equal("3", text("IntWritable", 3))
            assert.equal("3.0", text("DoubleWritable", 3))
            assert.equal("1.0E10", text("DoubleWritable", 1e10))
            assert.equal("0.1", text("FloatWritable", 0.1))
            assert.equal("-Infinity", text("DoubleWritable", -math.huge))
            assert.equal("9223372036854775807", text("LongWritable", 9223372036854775807LL))
            assert.equal("61 ff", text("BytesWritable", "a\255"))
            assert.equal("false", text("BooleanWritable", false))
        end)

        it("is read by textFile", function()
            sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 2):saveAsHadoopFile(dir:file("out"), { format = "text" })
            assert.same({ "a\t1", "b\t2" }, sc:textFile(dir:file("out")):collect())
        end)
    end)

    for _, format in ipairs({ "sequence", "text" }) do
        describe("as " .. format .. " refuses", function()
            local function refusal(rdd, options)
                options.format = format
                local text = message(function() rdd:saveAsHadoopFile(dir:file("out"), options) end)
                assert.same({}, list_of(dir.path))
                assert.matches("^[^\n]*hadoop_file_spec.lua:%d+: saveAsHadoopFile: ", text)
                assert.matches("\n  in saveAsHadoopFile %(.*hadoop_file_spec.lua:%d+%), partition 0", text)
                return text
            end

            it("a value that its writable does not hold", function()
                local text = refusal(sc:parallelizePairs({ { "a", 1 }, { "b", 1.5 } }, 1), { value = "IntWritable" })
                assert.matches("the value is the number 1.5: IntWritable holds whole numbers from -2147483648 to 2147483647",
                    text, 1, true)
                assert.matches('choose with the option value = "DoubleWritable", or map it to something else', text, 1, true)
                assert.matches('record: ("b", 1.5)', text, 1, true)
            end)

            it("a key that its writable does not hold", function()
                local text = refusal(sc:parallelizePairs({ { true, "x" } }, 1), { key = "LongWritable", value = "Text" })
                assert.matches('the key is true: LongWritable holds whole numbers of 64 bits', text, 1, true)
                assert.matches('key = "BooleanWritable"', text, 1, true)
            end)

            it("what no writable holds", function()
                local text = refusal(sc:parallelizePairs({ { "a", { 1 } } }, 1), { value = "Text" })
                assert.matches("the value is a table: Text holds strings", text, 1, true)
                assert.matches("map it to something that fits", text, 1, true)
            end)

            it("single values", function()
                local text = refusal(sc:parallelize({ "abc" }, 1), {})
                assert.matches('needs (key, value) pairs, but the record is the single value "abc"', text, 1, true)
            end)
        end)
    end

    it("checks its options when it is called", function()
        local rdd = sc:parallelizePairs({ { "a", 1 } })
        local function refusal(options)
            local text = message(function() rdd:saveAsHadoopFile(dir:file("out"), options) end)
            assert.matches("^[^\n]*hadoop_file_spec.lua:%d+: ", text)
            return text
        end
        assert.matches("option 'value': 'IntWriteable' is not one of the writables; did you mean 'IntWritable'? (valid: Text, "
            .. "IntWritable, LongWritable, FloatWritable, DoubleWritable, BooleanWritable, BytesWritable, NullWritable)",
            refusal({ value = "IntWriteable" }), 1, true)
        assert.matches("option 'key': number is not one of the writables (valid:", refusal({ key = 5 }), 1, true)
        assert.matches("option 'format': 'Text' is not a format; did you mean 'text'? (valid: sequence, text)",
            refusal({ format = "Text" }), 1, true)
        assert.matches("option 'format': number is not a format (valid: sequence, text)", refusal({ format = 1 }), 1, true)
        assert.matches("option 'compress' goes with format = \"sequence\"",
            refusal({ format = "text", compress = true }), 1, true)
        assert.matches("saveAsHadoopFile has no option 'skipEmpty' (options: key, value, format, compress)",
            refusal({ skipEmpty = true }), 1, true)
        assert.matches("has no method 'saveAsNewAPIHadoopFile' in this release: use saveAsHadoopFile", message(function()
            rdd:saveAsNewAPIHadoopFile("x")
        end), 1, true)
        dir:write("out/file", "mine")
        assert.matches("saveAsHadoopFile: .*/out already exists", refusal({}))
    end)
end)

describe("outputs of streams:", function()
    engine.watch(after_each)
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() dir:remove() end)

    -- Runs batches; `register` gets the stream of pairs.
    local function run(batches, register)
        local ssc = engine.streaming()
        register(ssc:queueStream(batches):map(function(x) return "k" .. x, x end))
        ssc:start()
        for _ = 1, #batches do
            engine.advance(ssc)
        end
        ssc:stop(false)
        return ssc.sc
    end

    it("saveAsHadoopFiles makes a directory for each batch, empty ones too", function()
        local sc = run({ { 1, 2 }, {} }, function(stream)
            stream:saveAsHadoopFiles(dir:file("seq"), "s", { value = "IntWritable" })
            stream:saveAsHadoopFiles(dir:file("text"), nil, { format = "text" })
        end)
        assert.same({ "seq-1000.s", "seq-2000.s", "text-1000", "text-2000" }, list_of(dir.path))
        assert.same({ { "k1", 1 }, { "k2", 2 } }, sc:sequenceFile(dir:file("seq-1000.s")):collect())
        assert.same({ "k1\t1", "k2\t2" }, sc:textFile(dir:file("text-1000")):collect())
        assert.equal("", dir:read("seq-2000.s/_SUCCESS"))
    end)

    it("a batch whose record does not fit fails", function()
        local ssc = engine.streaming()
        ssc:queueStream({ { 1 } }):map(function(x) return x, x end):saveAsHadoopFiles(dir:file("out"))
        ssc:start()
        engine.advance(ssc)
        local text = message(function() ssc:awaitTermination() end)
        assert.matches("saveAsHadoopFiles: the key is the number 1: Text holds strings", text, 1, true)
        assert.same({}, list_of(dir.path))
    end)

    local saves = {
        saveAsTextFiles = function(stream, prefix, skip) stream:saveAsTextFiles(prefix, nil, { skipEmpty = skip }) end,
        saveAsObjectFiles = function(stream, prefix, skip) stream:saveAsObjectFiles(prefix, nil, { skipEmpty = skip }) end,
        ["saveAsHadoopFiles as sequence"] = function(stream, prefix, skip)
            stream:saveAsHadoopFiles(prefix, nil, { value = "IntWritable", skipEmpty = skip })
        end,
        ["saveAsHadoopFiles as text"] = function(stream, prefix, skip)
            stream:saveAsHadoopFiles(prefix, nil, { format = "text", skipEmpty = skip })
        end,
    }
    for name, save in pairs(saves) do
        it(name .. " with skipEmpty writes nothing for a batch without records", function()
            run({ {}, { 1, 2 }, { 3 } }, function(stream)
                -- Known to be empty, and found to be.
                save(stream, dir:file("known/out"), true)
                save(stream:filter(function(_, x) return x == 3 end), dir:file("found/out"), true)
                save(stream:filter(function(_, x) return x == 3 end), dir:file("all"), false)
            end)
            assert.same({ "out-2000", "out-3000" }, list_of(dir:file("known")))
            assert.same({ "out-3000" }, list_of(dir:file("found")))
            assert.is_not_nil(dir:read("found/out-3000/_SUCCESS"))
            local others = list_of(dir.path)
            table.sort(others)
            assert.same({ "all-1000", "all-2000", "all-3000", "found", "known" }, others)
        end)
    end

    it("skipEmpty makes no folders above, and takes away what an earlier run of the batch wrote", function()
        run({ { 1 } }, function(stream)
            stream:filter(function() return false end):saveAsTextFiles(dir:file("a/b/c"), nil, { skipEmpty = true })
        end)
        assert.same({}, list_of(dir.path))
        dir:write("out-1000/part-00000", "old")
        dir:write("out-1000/_SUCCESS", "")
        dir:write("kept-1000/part-00000", "old")
        dir:write("kept-1000/notes", "mine")
        run({ { 1 } }, function(stream)
            local none = stream:filter(function() return false end)
            none:saveAsTextFiles(dir:file("out"), nil, { skipEmpty = true })
            none:saveAsObjectFiles(dir:file("kept"), nil, { skipEmpty = true })
        end)
        assert.same({ "kept-1000" }, list_of(dir.path))
        assert.same({ "notes" }, list_of(dir:file("kept-1000")))
    end)

    it("their options are checked when they are called", function()
        local stream = engine.streaming():queueStream({})
        assert.matches("saveAsTextFiles has no option 'skip' (options: compress, skipEmpty)", message(function()
            stream:saveAsTextFiles("x", nil, { skip = true })
        end), 1, true)
        assert.matches("saveAsHadoopFiles: option 'skipEmpty': boolean expected, got number", message(function()
            stream:saveAsHadoopFiles("x", nil, { skipEmpty = 1 })
        end), 1, true)
        assert.matches("has no method 'saveAsNewAPIHadoopFiles' in this release: use saveAsHadoopFiles", message(function()
            stream:saveAsNewAPIHadoopFiles("x")
        end), 1, true)
    end)
end)

-- saveAsObjectFile, saveAsObjectFiles and sc:objectFile.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"

local message = engine.message
local null = moontide.null

local function list_of(path) return require("moontide.driver.files").list(path) end

describe("saveAsObjectFile", function()
    engine.watch(after_each)
    local sc, dir

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
    end)
    after_each(function() dir:remove() end)

    local everything = {
        "text", "", "tä\0\255", 0, -1, 0.5, 1e300, 2 ^ 40, math.huge, true, false, null, { 1, 2, { 3 } }, { a = { b = "c" } },
        moontide.array({}), 9223372036854775807LL, ("x"):rep(70000),
    }

    for _, compress in ipairs({ false, true }) do
        describe(compress and "compressed" or "plain", function()
            it("keeps every kind of record", function()
                sc:parallelize(everything, 3):saveAsObjectFile(dir:file("out"), { compress = compress })
                local back = sc:objectFile(dir:file("out")):collect()
                assert.same(everything, back)
                assert.equal(null, back[12])
            end)

            it("keeps pairs as pairs", function()
                local list = {}
                for i = 1, 25 do
                    list[i] = { "key " .. i, { i } }
                end
                sc:parallelizePairs(list, 2):saveAsObjectFile(dir:file("out"), { compress = compress })
                local back = sc:objectFile(dir:file("out"))
                assert.same(list, back:collect())
                assert.equal(25, back:mapValues(function(v) return v[1] end):count())
            end)

            it("keeps any number of records", function()
                for _, count in ipairs({ 0, 1, 9, 10, 11, 20, 12345 }) do
                    local list = {}
                    for i = 1, count do
                        list[i] = i
                    end
                    local name = "out" .. count
                    sc:parallelize(list, 2):saveAsObjectFile(dir:file(name), { compress = compress })
                    assert.same(list, sc:objectFile(dir:file(name), 5):collect())
                end
            end)
        end)
    end

    it("makes a part for each partition and _SUCCESS", function()
        sc:parallelize({ 1, 2 }, 3):saveAsObjectFile(dir:file("deep/out"))
        assert.same({ "_SUCCESS", "part-00000", "part-00001", "part-00002" }, list_of(dir:file("deep/out")))
        assert.equal("SEQ\6!org.apache.hadoop.io.NullWritable\"org.apache.hadoop.io.BytesWritable",
            dir:read("deep/out/part-00000"):sub(1, 73))
    end)

    it("writes groups of ten, which any reader of SequenceFiles sees as values", function()
        local list = {}
        for i = 1, 23 do
            list[i] = i
        end
        sc:parallelize(list, 1):saveAsObjectFile(dir:file("out"))
        assert.same({ { null, "\1\1\2\3\4\5\6\7\8\9\10" }, { null, "\1\11\12\13\14\15\16\17\18\19\20" },
            { null, "\1\21\22\23" } }, sc:sequenceFile(dir:file("out")):collect())
        sc:parallelizePairs({ { 1, 2 }, { 3, "x" } }, 1):saveAsObjectFile(dir:file("pairs"))
        assert.same({ { null, "\2\1\2\3\161x" } }, sc:sequenceFile(dir:file("pairs")):collect())
    end)

    it("is smaller when compressed", function()
        local list = {}
        for i = 1, 5000 do
            list[i] = "the same text again and again"
        end
        sc:parallelize(list, 1):saveAsObjectFile(dir:file("plain"))
        sc:parallelize(list, 1):saveAsObjectFile(dir:file("small"), { compress = true })
        assert.is_true(#dir:read("small/part-00000") * 10 < #dir:read("plain/part-00000"))
    end)

    it("refuses a directory that is there already, and misuse", function()
        dir:write("out/file", "mine")
        local rdd = sc:parallelize({ 1 })
        assert.matches("object_file_spec.lua:%d+: saveAsObjectFile: .*/out already exists",
            message(function() rdd:saveAsObjectFile(dir:file("out")) end))
        assert.equal("mine", dir:read("out/file"))
        assert.matches("saveAsObjectFile has no option 'compres'; did you mean 'compress'?", message(function()
            rdd:saveAsObjectFile(dir:file("new"), { compres = true })
        end), 1, true)
        assert.matches("saveAsObjectFile: option 'compress': boolean expected, got string", message(function()
            rdd:saveAsObjectFile(dir:file("new"), { compress = "yes" })
        end), 1, true)
        assert.matches("bad argument #2 to 'saveAsObjectFile' (table of options expected, got boolean)", message(function()
            rdd:saveAsObjectFile(dir:file("new"), true)
        end), 1, true)
        assert.matches("bad argument #1 to 'saveAsObjectFile' (the text is empty)", message(function()
            rdd:saveAsObjectFile("")
        end), 1, true)
        assert.matches("write x:saveAsObjectFile", message(function() rdd.saveAsObjectFile(dir:file("new")) end), 1, true)
    end)

    it("leaves nothing behind when it fails", function()
        local bad = sc:parallelize({ 1, 2 }, 2):map(function(x) return x == 2 and error("no") or x end)
        assert.matches("no", message(bad.saveAsObjectFile, bad, dir:file("deep/out")), 1, true)
        assert.same({}, list_of(dir.path))
    end)

    it("names the record that cannot be packed", function()
        local bad = sc:parallelize({ 1 }, 1):map(function(x) return print end)
        local text = message(function() bad:saveAsObjectFile(dir:file("out")) end)
        assert.matches("a function can't be part of a record", text, 1, true)
        assert.matches("in saveAsObjectFile %(.*object_file_spec.lua:%d+%)", text)
        assert.matches("record: 1", text, 1, true)
    end)

    it("refuses a mix of pairs and single values", function()
        local mixed = sc:parallelize({ 1 }, 1):union(sc:parallelize({ 1 }, 1):map(function(x) return x, 2 end)):coalesce(1)
        assert.matches("pairs and single values meet in one dataset", message(function()
            mixed:saveAsObjectFile(dir:file("out"))
        end), 1, true)
    end)

    it("says path, byte and reason when the disk is full", function()
        local rdd = sc:parallelize({ 1, 2, 3 }, 1)
        local fault = require "spec.support.fault"
        finally(fault.clear)
        fault.arm("sequence.write")
        local text = message(function() rdd:saveAsObjectFile(dir:file("out")) end)
        assert.matches("object_file_spec.lua:%d+: saveAsObjectFile: cannot write .*/out/_temporary/[^/]+/part%-00000 at byte 0: "
            .. "No space left on device", text)
        assert.same({}, list_of(dir.path))
    end)
end)

describe("objectFile", function()
    engine.watch(after_each)
    local sc, dir

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
    end)
    after_each(function() dir:remove() end)

    local function expect(expected)
        local text = message(function() sc:objectFile(dir.path):count() end)
        assert.matches("object_file_spec.lua:%d+: objectFile: " .. dir.path:gsub("%p", "%%%0") .. "/", text)
        assert.matches(expected, text, 1, true)
    end

    it("says that a SequenceFile is no object file", function()
        sc:parallelizePairs({ { "a", "b" } }, 1):saveAsHadoopFile(dir:file("out"))
        os.rename(dir:file("out/part-00000"), dir:file("file"))
        os.execute("rm -r " .. dir:file("out"))
        expect("file: at byte 4: it is no object file, which has NullWritable and BytesWritable; it has Text and Text: read it "
            .. "with sequenceFile")
    end)

    it("says that values are no groups of records", function()
        sc:parallelizePairs({ { null, "abc" } }, 1):saveAsHadoopFile(dir:file("out"),
            { key = "NullWritable", value = "BytesWritable" })
        os.rename(dir:file("out/part-00000"), dir:file("file"))
        os.execute("rm -r " .. dir:file("out"))
        expect("file: at byte 95: the value is no group of packed records; the file is damaged")
    end)

    it("names file and byte of what is no record of Lua, however deep it lies", function()
        local nan, nested = "\203\127\248\0\0\0\0\0\0", ("\145"):rep(100)
        local cases = {
            { "\1\212\5\1", "a MessagePack extension" }, { "\1\199\1\1x", "a MessagePack extension" },
            { "\1\146\1\214\255\0\0\0\1", "a MessagePack extension" }, { "\2\1\212\5\1", "a MessagePack extension" },
            { "\1\129\192\1", "a map with nil as a key" }, { "\1\145\129\192\1", "a map with nil as a key" },
            { "\1\129" .. nan .. "\1", "a map with NaN as a key" }, { "\1\129\202\127\192\0\0\1", "a map with NaN as a key" },
            { "\1\130\1\2\144\1", "a map with a table as a key" }, { "\1\222\0\1\128\1", "a map with a table as a key" },
            { "\1" .. nested .. "\145\1", "tables that are nested more than 100 levels deep" },
        }
        local good = { "\1" .. nested .. "\1", "\1\146\199\0\1\129\161k" .. nan, "\1\220\0\2\223\0\0\0\1\195\192\2", "\1\128" }
        for index, case in ipairs(cases) do
            local out = dir:file("out" .. index)
            sc:parallelizePairs({ { null, case[1]:sub(1, 1) .. "\1\2" }, { null, case[1] } }, 1):saveAsHadoopFile(out,
                { key = "NullWritable", value = "BytesWritable" })
            local text = message(function() sc:objectFile(out):count() end)
            assert.matches(("object_file_spec.lua:%%d+: objectFile: .*/part%%-00000: at byte 110: a record of the group there has %s")
                :format(case[2]), text)
        end
        for index, bytes in ipairs(good) do
            local out = dir:file("good" .. index)
            sc:parallelizePairs({ { null, bytes } }, 1):saveAsHadoopFile(out, { key = "NullWritable", value = "BytesWritable" })
            assert.equal(1, sc:objectFile(out):count())
        end
        for _, groups in ipairs({ { "\1\1", "\2\1\2" }, { "\2\1\2", "\1\1" } }) do
            local out = dir:file("mixed" .. #groups[1])
            sc:parallelizePairs({ { null, groups[1] }, { null, groups[2] } }, 1):saveAsHadoopFile(out,
                { key = "NullWritable", value = "BytesWritable" })
            assert.matches("/part%-00000: at byte 1%d%d: the group there has %a+ ?%a*, those before it", message(function()
                sc:objectFile(out):count()
            end))
        end
    end)

    it("says that Java objects can't be read", function()
        sc:parallelizePairs({ { null, "\172\237\0\5ur" } }, 1):saveAsHadoopFile(dir:file("out"),
            { key = "NullWritable", value = "BytesWritable" })
        os.rename(dir:file("out/part-00000"), dir:file("file"))
        os.execute("rm -r " .. dir:file("out"))
        expect("file: at byte 95: the object file holds Java objects, which only a JVM can read")
    end)

    it("says where a file ends too early", function()
        sc:parallelize({ "some text", "and more" }, 1):saveAsObjectFile(dir:file("out"))
        local content = dir:read("out/part-00000")
        os.execute("rm -r " .. dir:file("out"))
        dir:write("file", content:sub(1, -3))
        expect("file: at byte 95: the record there is longer than the file, which ends at byte " .. #content - 2)
    end)

    it("is refused for a path that is not there", function()
        assert.matches("object_file_spec.lua:%d+: objectFile: there is no file or directory", message(function()
            sc:objectFile(dir:file("none"))
        end))
    end)
end)

describe("saveAsObjectFiles", function()
    engine.watch(after_each)
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() dir:remove() end)

    it("makes a directory for each batch, empty ones too", function()
        local ssc = engine.streaming()
        local sc = ssc.sc
        ssc:queueStream({ { "a", "b" }, {}, { "c" } }):saveAsObjectFiles(dir:file("out"), "obj")
        ssc:start()
        for _ = 1, 3 do
            engine.advance(ssc)
        end
        ssc:stop(false)
        assert.same({ "out-1000.obj", "out-2000.obj", "out-3000.obj" }, list_of(dir.path))
        assert.same({ "a", "b" }, sc:objectFile(dir:file("out-1000.obj")):collect())
        assert.same({}, sc:objectFile(dir:file("out-2000.obj")):collect())
        assert.equal("", dir:read("out-2000.obj/_SUCCESS"))
        assert.same({ "c" }, sc:objectFile(dir:file("out-*.obj")):filter(function(x) return x == "c" end):collect())
    end)

    it("replaces what an earlier run left, stale parts and checksums too", function()
        for _, name in ipairs({ "part-00000", "part-00007", "part-00008.gz", ".part-00000.crc", "_SUCCESS",
            "_temporary/attempt-" .. ("0a"):rep(16) .. "/part-00001" }) do
            dir:write("1000/" .. name, "old")
        end
        dir:write("1000/notes", "mine")
        local ssc = engine.streaming()
        local stream = ssc:queueStream({ { 1, 2 } })
        stream:saveAsObjectFiles(dir.path .. "/x", nil, { compress = true })
        os.rename(dir:file("1000"), dir:file("x-1000"))
        ssc:start()
        engine.advance(ssc)
        local parts = list_of(dir:file("x-1000"))
        table.sort(parts)
        assert.same({ "_SUCCESS", "notes", "part-00000", "part-00001" }, parts)
        assert.same({ 1, 2 }, ssc.sc:objectFile(dir:file("x-1000/part-*")):collect())
        ssc:stop(false)
    end)

    it("checks its arguments when it is called", function()
        local ssc = engine.streaming()
        local stream = ssc:queueStream({})
        assert.matches("saveAsObjectFiles has no option 'skipempty'; did you mean 'skipEmpty'?", message(function()
            stream:saveAsObjectFiles("x", nil, { skipempty = true })
        end), 1, true)
        assert.matches("bad argument #2 to 'saveAsObjectFiles' (string expected, got table)", message(function()
            stream:saveAsObjectFiles("x", { skipEmpty = true })
        end), 1, true)
    end)
end)

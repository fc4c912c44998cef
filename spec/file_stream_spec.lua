-- File streams: which files a batch takes, when, what its records are, and what goes wrong. The clock is manual and the files' times
-- are prepared.

local engine = require "spec.support.engine"
local fault = require "spec.support.fault"
local file_times = require "spec.support.file_times"
local lz4 = require "spec.support.lz4"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local core = require "moontide.core"

local message = engine.message

local dir

-- A file with its time of modification, ms.
local function put(name, text, ms)
    return file_times.set(dir:write(name, text), ms)
end

-- A streaming context whose file stream is made by `make(ssc)`, started; `step(n)` makes n batches and returns the records of the last
-- one, sorted when they are strings.
local function stream(make, conf, batch)
    local ssc = engine.streaming(batch or 1000, conf)
    local made, got = make(ssc), {}
    made:foreachRDD(function(rdd, time)
        got.records, got.time, got.partitions = rdd:collect(), time, rdd:getNumPartitions()
    end)
    ssc:start()
    local function step(n)
        for _ = 1, n or 1 do
            got.records = nil
            engine.advance(ssc)
        end
        if got.records and type(got.records[1]) == "string" then table.sort(got.records) end
        return got.records
    end
    return step, ssc, made, got
end

local function lines(conf, batch)
    return stream(function(ssc) return ssc:textFileStream(dir:file("in")) end, conf, batch)
end

-- The error that stops the context, as text.
local function failure(ssc)
    local ok, err = pcall(ssc.awaitTermination, ssc)
    assert(not ok, "the context did not fail")
    return tostring(err)
end

-- What the log says during `fn`: it goes to stderr, which a program of its own shows.
local function program(text, ...)
    return shell.moontide({ "run", dir:write("job.lua", text), ... })
end

describe("file streams", function()
    engine.watch(after_each)

    before_each(function()
        dir = tempdir.new()
        dir:write("in/.keep", "")
    end)
    after_each(function()
        fault.clear()
        dir:remove()
    end)

    describe("take a file in one batch", function()
        it("by its time: after the stream was made, and not after the batch", function()
            put("in/old", "old\n", 0)
            put("in/fresh", "fresh\n", 1)
            put("in/at-batch", "at-batch\n", 1000)
            put("in/next", "next\n", 1000.001)
            put("in/future", "future\n", 2001)
            local step = lines()
            assert.same({ "at-batch", "fresh" }, step())
            assert.same({ "next" }, step())
            assert.same({ "future" }, step())
            assert.same({}, step())
        end)

        it("also when it appears late, up to 60 s", function()
            local step = lines()
            step(70)
            put("in/late", "late\n", 11001)
            put("in/lost", "lost\n", 11000)
            assert.same({ "late" }, step())
            assert.same({}, step(2))
        end)

        it("and remember it as long as it may be found again, whatever the interval of batches", function()
            local step = lines({ ["fileStream.minRemember"] = "2500ms" })
            put("in/a", "a\n", 900)
            assert.same({ "a" }, step())
            for _ = 1, 5 do assert.same({}, step()) end
            put("in/late", "late\n", 4001) -- at 7000: three whole batches back
            put("in/lost", "lost\n", 4000)
            assert.same({ "late" }, step())
        end)

        it("again as a whole when it was written anew, with a warning, and not when only its content is the same", function()
            local result = program([[
                local engine = require "spec.support.engine"
                local file_times = require "spec.support.file_times"
                local ssc = engine.streaming(1000)
                local path = arg[1] .. "/a"
                local function write(text, ms)
                    local file = io.open(path, "w")
                    file:write(text)
                    file:close()
                    file_times.set(path, ms)
                end
                ssc:textFileStream(arg[1]):foreachRDD(function(rdd) print(table.concat(rdd:collect(), " ")) end)
                ssc:start()
                write("one\n", 500) engine.advance(ssc)
                write("one\n", 500) engine.advance(ssc)
                write("one\ntwo\n", 2500) engine.advance(ssc)
                engine.advance(ssc)
                ssc:stop()
            ]], dir:file("in"))
            assert.equal("one\n\none two\n\n", result.out)
            local _, warnings = result.err:gsub("WARN", "")
            assert.equal(1, warnings)
            assert.matches("/in/a has changed since batch 1000 ms took it, and is read again as a whole: write files under a name that is "
                .. "left out", result.err, 1, true)
        end)

        it("and a new one that takes its name", function()
            local step = lines()
            put("in/a", "one\n", 500)
            assert.same({ "one" }, step())
            put("b", "two\n", 500)
            assert(os.rename(dir:file("b"), dir:file("in/a")))
            assert.same({ "two" }, step())
            step(70)
            put("b", "three\n", 71500)
            assert(os.rename(dir:file("b"), dir:file("in/a")))
            assert.same({ "three" }, step())
        end)

        it("in order of their times, one after the other", function()
            put("in/b", "1\n", 100)
            put("in/a", "2\n", 200)
            put("in/c", "3\n", 50)
            local _, ssc, made = lines()
            engine.advance(ssc)
            local names = {}
            for index, file in ipairs(made.node:files(1000)) do names[index] = file[1]:match("[^/]+$") end
            assert.same({ "c", "b", "a" }, names)
        end)

        it("when the clock jumps: each in the batch of its time", function()
            put("in/a", "a\n", 2500)
            put("in/b", "b\n", 3000)
            local ssc = engine.streaming(1000)
            local seen = {}
            ssc:textFileStream(dir:file("in")):foreachRDD(function(rdd, time) seen[time] = rdd:collect() end)
            ssc:start()
            ssc.life.graph:advance(4000)
            engine.advance(ssc)
            assert.same({ [1000] = {}, [2000] = {}, [3000] = { "a", "b" }, [4000] = {}, [5000] = {} }, seen)
        end)
    end)

    describe("leave out", function()
        local NAMES = { "plain", ".hidden", "_SUCCESS", "x.tmp", "x._COPYING_", ".x.swp", "x.swp", "x~", "tmp", "a.b_" }

        it("names of files that are not complete, or are no data", function()
            for _, name in ipairs(NAMES) do put("in/" .. name, name .. "\n", 500) end
            assert.same({ "a.b_", "plain", "tmp" }, lines()())
        end)

        it("what a filter says, in place of these names; it is asked with the path", function()
            for _, name in ipairs(NAMES) do put("in/" .. name, name .. "\n", 500) end
            local asked = {}
            local step = stream(function(ssc)
                return ssc:fileStream(dir:file("in"), { filter = function(path)
                    asked[#asked + 1] = path
                    return path:match("/x") ~= nil
                end })
            end)
            assert.same({ "x._COPYING_", "x.swp", "x.tmp", "x~" }, step())
            assert.equal(dir:file("in/.hidden"), (table.concat(asked, "\n"):match("[^\n]*/%.hidden")))
        end)

        it("and ask a filter again about what it refused, until it is too old", function()
            put("in/a", "a\n", 500)
            local open, asked = false, 0
            local step = stream(function(ssc)
                return ssc:fileStream(dir:file("in"), { filter = function(path)
                    asked = asked + (path:match("/a$") and 1 or 0)
                    return open
                end })
            end)
            assert.same({}, step(2))
            assert.equal(2, asked)
            open = true
            assert.same({ "a" }, step())
            step(2)
            assert.equal(3, asked)
        end)

        it("directories, pipes and links to nothing; a link to a file is one", function()
            put("in/sub/deep", "deep\n", 500)
            file_times.set(dir:file("in/sub"), 500)
            assert(os.execute("mkfifo " .. shell.quote(dir:file("in/pipe"))) == 0)
            put("elsewhere", "linked\n", 500)
            os.execute(("ln -s %s %s"):format(shell.quote(dir:file("elsewhere")), shell.quote(dir:file("in/link"))))
            os.execute(("ln -s /nowhere %s"):format(shell.quote(dir:file("in/broken"))))
            assert.same({ "linked" }, lines()())
        end)

        it("files that were there before, unless newFilesOnly is false: then those of the last 60 s count", function()
            local sc = engine.context()
            local function first(options)
                local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 100000 })
                local got
                ssc:fileStream(dir:file("in"), options):foreachRDD(function(rdd) got = rdd:collect() end)
                ssc:start()
                engine.advance(ssc)
                ssc:stop(false)
                table.sort(got)
                return got
            end
            put("in/ancient", "ancient\n", 41000)
            put("in/recent", "recent\n", 41001)
            put("in/now", "now\n", 100000)
            put("in/new", "new\n", 100001)
            assert.same({ "new" }, first())
            assert.same({ "new" }, first({ newFilesOnly = true }))
            assert.same({ "new", "now", "recent" }, first({ newFilesOnly = false }))
        end)
    end)

    describe("look", function()
        it("below the directory as deep as they are told", function()
            for _, name in ipairs({ "a", "1/b", "1/2/c", "1/2/3/d", "_1/e", ".1/f" }) do put("in/" .. name, name .. "\n", 500) end
            local function at(depth)
                return stream(function(ssc) return ssc:fileStream(dir:file("in"), { depth = depth }) end)()
            end
            assert.same({ "a" }, at(0))
            assert.same({ "1/b", "a" }, at(1))
            assert.same({ "1/2/c", "1/b", "a" }, at(2))
            assert.same({ "1/2/3/d", "1/2/c", "1/b", "a" }, at(100))
        end)

        it("through every directory that a pattern matches, and through those that appear", function()
            for _, name in ipairs({ "sub1/a", "sub2/b", "other/c", "_sub/d", ".sub/e" }) do put("in/" .. name, name .. "\n", 500) end
            put("in/subfile", "subfile\n", 500)
            local step = stream(function(ssc) return ssc:textFileStream(dir:file("in/{sub,oth}*")) end)
            assert.same({ "other/c", "sub1/a", "sub2/b" }, step())
            put("sub3/f", "sub3/f\n", 1500)
            assert(os.rename(dir:file("sub3"), dir:file("in/sub3")))
            assert.same({ "sub3/f" }, step())
            local every = stream(function(ssc) return ssc:textFileStream(dir:file("in/*")) end)
            assert.same({ "other/c", "sub1/a", "sub2/b" }, every())
        end)

        it("in a directory whose name looks like a pattern, and one with a URL", function()
            put("in/[x]*/a", "a\n", 500)
            assert.same({ "a" }, stream(function(ssc) return ssc:textFileStream(dir:file("in/[x]*")) end)())
            put("in/b", "b\n", 500)
            assert.same({ "b" }, stream(function(ssc) return ssc:textFileStream("file://" .. dir:file("in")) end)())
        end)

        it("no second time at a file that is too old", function()
            local count = 100000
            local made = dir:file("in")
            assert(os.execute(("cd %s && seq -f %%.0f %d | xargs touch -d @0.5"):format(shell.quote(made), count)) == 0)
            local filter = function() return false end
            local step, _, input = stream(function(ssc) return ssc:fileStream(made, { filter = filter }) end,
                { ["fileStream.minRemember"] = 1000 })
            step()
            assert.equal(count + 1, input.node:filesAsked()) -- with .keep
            local asked = input.node:filesAsked()
            put("in/new", "new\n", 1500)
            step()
            -- At 2000 the files of 0.5 s are too old, and .keep is of another time.
            assert.is_true(input.node:filesAsked() - asked <= 3, input.node:filesAsked() - asked .. " files were asked for")
            asked = input.node:filesAsked()
            step(3)
            assert.is_true(input.node:filesAsked() - asked <= 6)
        end)

        it("again when the directory appears, and say once that it is not there", function()
            local result = program([[
                local engine = require "spec.support.engine"
                local file_times = require "spec.support.file_times"
                local ssc = engine.streaming(1000)
                ssc:textFileStream(arg[1]):foreachRDD(function(rdd, time) print(time, table.concat(rdd:collect(), " ")) end)
                ssc:start()
                for _ = 1, 3 do engine.advance(ssc) end
                os.execute("mkdir " .. arg[1])
                local file = io.open(arg[1] .. "/a", "w")
                file:write("a\n")
                file:close()
                file_times.set(arg[1] .. "/a", 3500)
                engine.advance(ssc)
                os.execute("rm -r " .. arg[1])
                for _ = 1, 3 do engine.advance(ssc) end
                ssc:stop()
            ]], dir:file("later"))
            assert.equal("1000\t\n2000\t\n3000\t\n4000\ta\n5000\t\n6000\t\n7000\t\n", result.out)
            local _, warnings = result.err:gsub("WARN", "")
            assert.equal(2, warnings)
            assert.matches("textFileStream %(.*job.lua:4%): there is no directory .*/later; batches go on without its files until it can be "
                .. "listed", result.err)
            assert.equal(0, result.code)
        end)

        it("at what can be listed when one of several directories can't", function()
            put("in/a/x", "x\n", 500)
            put("in/b/y", "y\n", 500)
            os.execute("chmod 000 " .. shell.quote(dir:file("in/b")))
            finally(function() os.execute("chmod 700 " .. shell.quote(dir:file("in/b"))) end)
            core.logLevel("off")
            local step = stream(function(ssc) return ssc:textFileStream(dir:file("in/*")) end)
            local readable = io.open(dir:file("in/b/y")) ~= nil -- root may read everything
            assert.same(readable and { "x", "y" } or { "x" }, step())
            core.logLevel("warn")
        end)
    end)

    describe("of a format", function()
        it("text: lines, also packed; a large file is cut", function()
            put("in/a", "one\r\ntwo\n\nno end", 500)
            put("in/b.lz4", lz4.frame("packed\n"), 500)
            os.execute(("printf 'zipped\\n' | gzip -n >%s"):format(shell.quote(dir:file("in/c.gz"))))
            file_times.set(dir:file("in/c.gz"), 500)
            put("in/empty", "", 500)
            assert.same({ "", "no end", "one", "packed", "two", "zipped" }, lines()())
            put("in/large", (("x"):rep(99) .. "\n"):rep(40000), 500)
            local step, _, _, got = lines()
            assert.equal(40006, #step())
            assert.is_true(got.partitions >= 4)
        end)

        it("bytes: path and content", function()
            put("in/a", "one\ntwo", 500)
            put("in/b.lz4", lz4.frame("packed\0\n"), 600)
            put("in/empty", "", 700)
            local step = stream(function(ssc) return ssc:fileStream(dir:file("in"), { format = "bytes" }) end)
            assert.same({ { dir:file("in/a"), "one\ntwo" }, { dir:file("in/b.lz4"), "packed\0\n" }, { dir:file("in/empty"), "" } }, step())
            assert.same({}, step())
        end)

        it("sequence and object: what was saved", function()
            local sc = engine.context()
            sc:parallelizePairs({ { "ebb", 12 } }, 1):saveAsHadoopFile(dir:file("pairs"), { value = "IntWritable" })
            sc:parallelize({ 1, { 2 }, "3" }, 1):saveAsObjectFile(dir:file("objects"))
            for _, name in ipairs({ "pairs", "objects" }) do file_times.set(dir:file(name .. "/part-00000"), 500) end
            local pairs_step = stream(function(ssc) return ssc:fileStream(dir:file("pairs"), { format = "sequence" }) end)
            assert.same({ { "ebb", 12 } }, pairs_step())
            assert.same({}, pairs_step())
            local objects = stream(function(ssc) return ssc:fileStream(dir:file("objects"), { format = "object" }) end)
            assert.same({ 1, { 2 }, "3" }, objects())
            assert.same({}, objects())
        end)

        it("binaryRecordsStream: records of one size", function()
            put("in/a", "abcdef", 500)
            put("in/b", "gh", 600)
            put("in/empty", "", 600)
            local step = stream(function(ssc) return ssc:binaryRecordsStream(dir:file("in"), 2) end)
            assert.same({ "ab", "cd", "ef", "gh" }, step())
            assert.same({}, step())
        end)

        it("are streams like others: windows, pairs, several outputs, one read of the directory", function()
            put("in/a", "x y\n", 500)
            local ssc = engine.streaming(1000)
            local words = ssc:textFileStream(dir:file("in")):flatMap(function(line) return line:gmatch("%S+") end)
            local counts, windowed
            words:map(function(word) return word, 1 end):reduceByKey(function(a, b) return a + b end):foreachRDD(function(rdd)
                counts = rdd:collectAsMap()
            end)
            words:window(2000):foreachRDD(function(rdd) windowed = engine.sorted(rdd:collect()) end)
            ssc:start()
            engine.advance(ssc)
            assert.same({ x = 1, y = 1 }, counts)
            assert.same({ "x", "y" }, windowed)
            put("in/b", "z\n", 1500)
            engine.advance(ssc)
            assert.same({ "x", "y", "z" }, windowed)
            engine.advance(ssc)
            assert.same({ "z" }, windowed)
        end)

        it("share partitions when there are many small files", function()
            for i = 1, 50 do put("in/" .. i, i .. "\n", 500) end
            local step, _, _, got = lines()
            assert.equal(50, #step())
            assert.equal(8, got.partitions)
        end)
    end)

    describe("with limits", function()
        it("take the oldest files first, and the others later, however old they are by then", function()
            for i = 1, 7 do put("in/" .. i, i .. "\n", 100 * i) end
            local step, _, made = lines({ ["fileStream.maxFiles"] = 2, ["fileStream.minRemember"] = 1000 })
            assert.same({ "1", "2" }, step())
            assert.equal(5, #made.node:fileState().waiting)
            put("in/8", "8\n", 1500)
            assert.same({ "3", "4" }, step())
            assert.same({ "5", "6" }, step())
            assert.same({ "7", "8" }, step())
            assert.same({}, step())
            assert.same({}, made.node:fileState().waiting)
        end)

        it("of bytes take one file at least", function()
            put("in/1", ("a"):rep(9) .. "\n", 100)
            put("in/2", ("b"):rep(99) .. "\n", 200)
            put("in/3", ("c"):rep(9) .. "\n", 300)
            put("in/4", ("d"):rep(9) .. "\n", 400)
            local step = lines({ ["fileStream.maxBytes"] = 20 })
            assert.same({ ("a"):rep(9) }, step())
            assert.same({ ("b"):rep(99) }, step())
            assert.same({ ("c"):rep(9), ("d"):rep(9) }, step())
        end)

        it("read a file that waits as it is when its turn comes", function()
            put("in/1", "1\n", 100)
            put("in/2", "2\n", 200)
            local step = lines({ ["fileStream.maxFiles"] = 1 })
            assert.same({ "1" }, step())
            put("in/2", "two, longer\n", 1200)
            assert.same({ "two, longer" }, step())
            assert.same({}, step())
        end)
    end)

    describe("fail a batch", function()
        it("when a file is gone before it is read, by its name; it is skipped if that is the policy", function()
            local function run(conf)
                put("in/gone", "gone\n", 500)
                local ssc = engine.streaming(1000, conf)
                local got = {}
                ssc:textFileStream(dir:file("in")):foreachRDD(function(rdd, time)
                    os.remove(dir:file("in/gone"))
                    got[time] = rdd:collect()
                end)
                ssc:start()
                core.logLevel("off")
                engine.advance(ssc)
                put("in/next", "next\n", 1500)
                if ssc:getState() == "ACTIVE" then engine.advance(ssc) end
                core.logLevel("warn")
                os.remove(dir:file("in/next"))
                return ssc, got
            end
            local text = failure((run()))
            assert.matches(dir:file("in/gone") .. ": No such file or directory", text, 1, true)
            assert.matches("in foreachRDD %(.*file_stream_spec.lua:%d+%), batch 1000 ms", text)
            local _, got = run({ onError = "skip" })
            assert.same({ [2000] = { "next" } }, got)
        end)

        it("when it became shorter", function()
            put("in/a", "a longer line\n", 500)
            local ssc = engine.streaming(1000)
            ssc:textFileStream(dir:file("in")):foreachRDD(function(rdd)
                dir:write("in/a", "a\n")
                rdd:collect()
            end)
            ssc:start()
            engine.advance(ssc)
            assert.matches("/in/a: it has become shorter since it was listed: it has 2 bytes now, and had 14", failure(ssc), 1, true)
        end)

        it("when it is damaged, or packed in another way", function()
            put("in/a.lz4", lz4.frame("text\n"):sub(1, -3), 500)
            local step, ssc = lines()
            step()
            assert.matches("/in/a.lz4: at byte %d+: the file ends within its compressed data", failure(ssc))
            os.remove(dir:file("in/a.lz4"))
            put("in/a.zst", "bytes", 500)
            step, ssc = lines()
            step()
            local text = failure(ssc)
            assert.matches("textFileStream: .*/in/a.zst: files ending in .zst are not read here; unpack it first %(unzstd%)", text)
            assert.matches("in textFileStream %(.*file_stream_spec.lua:%d+%), batch 1000 ms", text)
        end)

        it("when it is no SequenceFile, or not of whole records", function()
            put("in/a", "just text, and more of it", 500)
            local step, ssc = stream(function(s) return s:fileStream(dir:file("in"), { format = "sequence" }) end)
            step()
            assert.matches("/in/a", failure(ssc), 1, true)
            step, ssc = stream(function(s) return s:binaryRecordsStream(dir:file("in"), 4) end)
            step()
            assert.matches("binaryRecordsStream: " .. dir:file("in/a") .. " has 25 bytes, which is not a multiple of the record length 4",
                failure(ssc), 1, true)
            os.remove(dir:file("in/a"))
            put("in/a.gz", "abcd", 500)
            step, ssc = stream(function(s) return s:binaryRecordsStream(dir:file("in"), 4) end)
            step()
            assert.matches("/in/a.gz: binaryRecordsStream does not read .gz; unpack it first (gunzip)", failure(ssc), 1, true)
        end)

        it("when the filter raises; nothing is taken then", function()
            put("in/a", "a\n", 500)
            put("in/b", "b\n", 600)
            local raise = true
            core.logLevel("off")
            local step, ssc = stream(function(s)
                return s:fileStream(dir:file("in"), { filter = function(path)
                    if raise and path:match("b$") then error("the filter fails") end
                    return not path:match("keep")
                end })
            end, { onError = "skip" })
            step()
            raise = false
            assert.same({ "a", "b" }, step())
            core.logLevel("warn")
            raise = true
            put("in/b", "b\n", 700)
            local again, stopped = stream(function(s)
                return s:fileStream(dir:file("in"), { filter = function() error("the filter fails") end })
            end)
            again()
            assert.matches("file_stream_spec.lua:%d+: the filter fails\n  in fileStream %(.*file_stream_spec.lua:%d+%), batch 1000 ms",
                failure(stopped))
            assert.equal("ACTIVE", ssc:getState())
        end)
    end)

    describe("refuse", function()
        it("paths that are none, at the caller's line", function()
            for _, method in ipairs({ "fileStream", "textFileStream", "binaryRecordsStream" }) do
                local function call(text, path)
                    local ssc = engine.streaming(1000)
                    local said = message(function()
                        if method == "binaryRecordsStream" then ssc:binaryRecordsStream(path, 1) else ssc[method](ssc, path) end
                    end)
                    assert.matches("file_stream_spec.lua:%d+: ", said)
                    assert.matches(text, said, 1, true)
                end
                call("bad argument #1 to '" .. method .. "' (string expected, got nil)", nil)
                call("bad argument #1 to '" .. method .. "' (string expected, got number)", 5)
                call("bad argument #1 to '" .. method .. "' (the text is empty)", "")
                call("hdfs://node/in is a URL; files of this machine are used", "hdfs://node/in")
                call("a path has no byte 0", "in\0side")
                call(dir:file("in/.keep") .. " is a file; the directory in which files will appear is expected", dir:file("in/.keep"))
            end
        end)

        it("options that are none", function()
            local function call(text, options)
                local ssc = engine.streaming(1000)
                local said = message(function() ssc:fileStream(dir:file("in"), options) end)
                assert.matches("file_stream_spec.lua:%d+: ", said)
                assert.matches(text, said, 1, true)
            end
            call("table of options expected, got function", function() return true end)
            call("fileStream has no option 'filtr'; did you mean 'filter'?", { filtr = print })
            call("option 'filter': function expected, got string", { filter = "*.txt" })
            call("option 'newFilesOnly': boolean expected, got string", { newFilesOnly = "no" })
            call("option 'format': one of bytes, object, sequence, text expected, got 'txt'; did you mean 'text'?", { format = "txt" })
            call("option 'format': one of bytes, object, sequence, text expected, got number", { format = 1 })
            call("option 'depth'", { depth = -1 })
            call("option 'depth'", { depth = 1.5 })
            call("option 'depth'", { depth = 101 })
            call("option 'depth'", { depth = "1" })
        end)

        it("record lengths that are none, surplus arguments, and calls at the wrong time", function()
            local ssc = engine.streaming(1000)
            for _, length in ipairs({ 0, -1, 1.5, 2 ^ 40, "4" }) do
                assert.matches("bad argument #2 to 'binaryRecordsStream'", message(function()
                    ssc:binaryRecordsStream(dir:file("in"), length)
                end), 1, true)
            end
            assert.matches("bad argument #2 to 'binaryRecordsStream'", message(function() ssc:binaryRecordsStream(dir:file("in")) end), 1, true)
            assert.matches("textFileStream", message(function() ssc:textFileStream(dir:file("in"), 2) end), 1, true)
            local _, started = lines()
            assert.matches("streams and outputs cannot be added after the context was started", message(function()
                started:textFileStream(dir:file("in"))
            end), 1, true)
            started:stop(false)
            assert.matches("the streaming context is stopped", message(function() started:textFileStream(dir:file("in")) end), 1, true)
        end)
    end)

    describe("keep for a checkpoint", function()
        local function node_of(conf)
            local step, ssc, made = lines(conf)
            return made.node, step, ssc
        end

        it("the files of each batch, what waits and when they were made; a batch that is set reads the same files", function()
            for i = 1, 5 do put("in/" .. i, i .. "\n", 100 * i) end
            local first, step = node_of({ ["fileStream.maxFiles"] = 2 })
            step()
            local state = first:fileState()
            assert.equal(0, state.created)
            assert.equal(1000, state.batches[1].time)
            assert.equal(dir:file("in/2"), state.batches[1].files[2][1])
            assert.equal(3, #state.waiting)
            put("in/0", "0\n", 50) -- would have been the first of batch 1000

            local ssc = engine.streaming(1000, { ["fileStream.maxFiles"] = 2 })
            local second, seen = ssc:textFileStream(dir:file("in")), {}
            second:foreachRDD(function(rdd, time) seen[time] = engine.sorted(rdd:collect()) end)
            second.node:fileState(state)
            assert.same(state, second.node:fileState())
            ssc:start()
            for _ = 1, 4 do engine.advance(ssc) end
            assert.same({ [1000] = { "1", "2" }, [2000] = { "3", "4" }, [3000] = { "0", "5" }, [4000] = {} }, seen)
        end)

        it("also batch by batch", function()
            for i = 1, 5 do put("in/" .. i, i .. "\n", 100 * i) end
            local first, step = node_of({ ["fileStream.maxFiles"] = 2 })
            local _, _, made = lines({ ["fileStream.maxFiles"] = 2 })
            for time = 1000, 2000, 1000 do
                step()
                local state = first:fileState(time)
                assert.equal(1, #state.batches)
                assert.equal(time, state.batches[1].time)
                made.node:fileState(state)
            end
            assert.same(first:fileState(), made.node:fileState())
            assert.same({}, first:fileState(7000).batches)
        end)

        it("and read a file that has changed as it is now, once, with a warning", function()
            local result = program([[
                local engine = require "spec.support.engine"
                local file_times = require "spec.support.file_times"
                local path, state = arg[1] .. "/a", nil
                local function write(text, ms)
                    local file = io.open(path, "w")
                    file:write(text)
                    file:close()
                    file_times.set(path, ms)
                end
                local function run(batches)
                    local ssc = engine.streaming(1000)
                    local lines = ssc:textFileStream(arg[1])
                    if state then lines.node:fileState(state) end
                    lines:foreachRDD(function(rdd, time) print(time, table.concat(rdd:collect(), " ")) end)
                    ssc:start()
                    for _ = 1, batches do engine.advance(ssc) end
                    state = lines.node:fileState()
                    ssc:stop()
                end
                write("one\n", 500) run(1)
                write("one\ntwo\n", 1500) run(3)
            ]], dir:file("in"))
            assert.equal("1000\tone\n1000\tone two\n2000\t\n3000\t\n", result.out)
            assert.matches("/in/a has changed since batch 1000 ms read it: the batch is run again with the file as it is now", result.err, 1, true)
            local _, warnings = result.err:gsub("WARN", "")
            assert.equal(1, warnings)
        end)

        it("and name a file that is not there any more when the batch runs again", function()
            put("in/a", "a\n", 500)
            local first, step = node_of()
            step()
            local state = first:fileState()
            os.remove(dir:file("in/a"))
            local ssc = engine.streaming(1000)
            local again = ssc:textFileStream(dir:file("in"))
            again.node:fileState(state)
            again:foreachRDD(function(rdd) rdd:collect() end)
            ssc:start()
            engine.advance(ssc)
            assert.matches(dir:file("in/a") .. ": No such file or directory", failure(ssc), 1, true)
        end)

        it("and when files began to count", function()
            put("in/a", "a\n", 500)
            put("in/b", "b\n", 600)
            local ssc = engine.streaming(1000)
            local made, got = ssc:textFileStream(dir:file("in")), nil
            made:foreachRDD(function(rdd) got = rdd:collect() end)
            made.node:fileState({ created = 500, batches = {}, waiting = {} })
            ssc:start()
            engine.advance(ssc)
            assert.same({ "b" }, got)
        end)

        it("and refuse a state that is none, without a change", function()
            local node = node_of()
            local before = node:fileState()
            for _, state in ipairs({
                {}, { created = 1 }, { created = 1, waiting = {} }, { created = -1, waiting = {}, batches = {} },
                { created = 1, waiting = { {} }, batches = {} }, { created = 1, waiting = { { "a", 1, 2, 3, 4 } }, batches = {} },
                { created = 1, waiting = {}, batches = { {} } }, { created = 1, waiting = {}, batches = { { time = 1 } } },
                { created = 1, waiting = {}, batches = { { time = 1, files = { { "a", "b", 0, 0, 0, 0 } } } } },
            }) do
                assert.is_false((pcall(node.fileState, node, state)))
                assert.same(before, node:fileState())
            end
        end)

        it("only as long as they can be needed", function()
            local node, step = node_of({ ["fileStream.minRemember"] = "3s" })
            for i = 1, 10 do
                put("in/" .. i, i .. "\n", 1000 * i - 500)
                assert.same({ tostring(i) }, step())
            end
            assert.is_true(#node:fileState().batches <= 4, #node:fileState().batches .. " batches")
        end)
    end)

    it("look where they are when there is no thread for it", function()
        put("in/a", "a\n", 500)
        local step = lines()
        fault.arm("look.start", 0, 1)
        assert.same({ "a" }, step())
        put("in/b", "b\n", 1500)
        assert.same({ "b" }, step())
    end)

    it("let a stop pass by a directory that does not answer", function()
        local result = shell.moontide({ "run", dir:write("job.lua", [[
            local ssc = require("moontide").StreamingContext("local[1]", "job", 20)
            ssc:textFileStream(arg[1]):foreachRDD(function() print "a batch" end)
            ssc:start()
            print(ssc:awaitTerminationOrTimeout("200ms"))
            ssc:stop()
            print(ssc:getState())
        ]]), dir:file("in") }, { env = { MOONTIDE_FAULT = "look.stall" } })
        assert.same({ out = "false\nSTOPPED\n", code = 0 }, { out = result.out, code = result.code })
    end)

    it("have their filter in a checkpoint, so it must be one that can be stored", function()
        local ssc, file = engine.streaming(1000), assert(io.open(dir:file("asked"), "w"))
        ssc:checkpoint(dir:file("checkpoint"))
        ssc:fileStream(dir:file("in"), { filter = function(path) return file:write(path) ~= nil end }):print()
        assert.matches("the DStreams with their functions are not serializable: .*fileStream.*file", message(ssc.start, ssc))
        file:close()
    end)

    it("tell listeners which files a batch has", function()
        put("in/a", "a\n", 500)
        local ssc = engine.streaming(1000)
        local seen
        ssc:textFileStream(dir:file("in")):foreachRDD(function(rdd) rdd:count() end)
        ssc:addStreamingListener { onBatchCompleted = function(info) seen = info.streamIdToInputInfo[0] end }
        ssc:start()
        engine.advance(ssc)
        assert.same({ dir:file("in/a") }, seen.metadata.files)
        assert.equal("textFileStream(" .. dir:file("in") .. ")", seen.metadataDescription)
        engine.advance(ssc)
        assert.same({}, seen.metadata.files)
    end)

    it("tell listeners how many records a batch has read", function()
        put("in/a", "1\n2\n3\n", 500)
        put("in/b", "4\n", 500)
        local ssc = engine.streaming(1000)
        local told, outputs = {}, 0
        local text = ssc:textFileStream(dir:file("in"))
        text:foreachRDD(function(rdd) rdd:count() outputs = outputs + 1 end)
        text:map(function(line) return #line end):foreachRDD(function(rdd) rdd:collect() outputs = outputs + 1 end)
        ssc:fileStream(dir:file("in"), { format = "bytes", filter = function(path) return path:match("/%w$") ~= nil end })
            :foreachRDD(function() end)
        ssc:binaryRecordsStream(dir:file("in"), 2):foreachRDD(function() end)
        ssc:addStreamingListener {
            onBatchSubmitted = function(info) told.submitted = info.numRecords end,
            onBatchCompleted = function(info)
                for id = 0, 2 do told[id] = info.streamIdToInputInfo[id].numRecords end
                told.all = info.numRecords
            end,
        }
        ssc:start()
        engine.advance(ssc)
        assert.equal(2, outputs)
        assert.same({ submitted = 6, [0] = 4, 2, 4, all = 10 }, told)
        engine.advance(ssc)
        assert.same({ submitted = 0, [0] = 0, 0, 0, all = 0 }, told)
    end)

    it("have slices of past batches", function()
        put("in/a", "a\n", 500)
        put("in/b", "b\n", 1500)
        local ssc = engine.streaming(1000)
        local made, seen = ssc:textFileStream(dir:file("in")), nil
        ssc:remember("1min")
        made:foreachRDD(function(_, time)
            if time == 3000 then
                seen = {}
                for index, rdd in ipairs(made:slice(1000, 3000)) do seen[index] = rdd:collect() end
            end
        end)
        ssc:start()
        for _ = 1, 3 do engine.advance(ssc) end
        assert.same({ { "a" }, { "b" }, {} }, seen)
    end)

    it("take files that are written while the program runs, on the wall clock", function()
        local ssc = require("moontide").StreamingContext("local[2]", "spec", 50)
        local got = {}
        ssc:textFileStream(dir:file("in")):foreachRDD(function(rdd)
            for _, line in ipairs(rdd:collect()) do got[#got + 1] = line end
            if #got == 3 then ssc:stop() end
        end)
        ssc:start()
        for _, name in ipairs({ "a", "b", "c" }) do
            dir:write("." .. name, name .. "\n")
            assert(os.rename(dir:file("." .. name), dir:file("in/" .. name)))
        end
        assert.is_true(ssc:awaitTerminationOrTimeout("60s"))
        table.sort(got)
        assert.same({ "a", "b", "c" }, got)
    end)
end)

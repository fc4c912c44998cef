-- Which files textFile, wholeTextFiles, objectFile, sequenceFile and binaryRecords read, and how: patterns and hidden names, gzip,
-- what can be read only once, files that change, URLs.

local engine = require "spec.support.engine"
local lz4 = require "spec.support.lz4"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local message = engine.message

local dir, sc

local function gzip(name, text)
    local path = dir:write(name .. ".plain", text)
    local packed = dir:file(name)
    assert(os.execute("gzip -n -c " .. shell.quote(path) .. " >" .. shell.quote(packed)) == 0)
    os.remove(path)
    return packed
end

local function lines_of(count)
    local list = {}
    for i = 1, count do list[i] = "line " .. i .. " " .. (i * 7919 % 104729) end
    return list
end

local function joined(list) return table.concat(list, "\n") .. "\n" end

describe("input files", function()
    engine.watch(after_each)

    before_each(function() dir, sc = tempdir.new(), engine.context() end)
    after_each(function()
        sc = nil
        dir:remove()
    end)

    describe("that a pattern matches", function()
        it("are read back where a directory was saved", function()
            sc:parallelize({ 1, 2, 3 }, 2):saveAsObjectFile(dir:file("objects"))
            sc:parallelize({ "a", "b" }, 2):saveAsTextFile(dir:file("text"))
            sc:parallelizePairs({ { "a", "b" } }, 1):saveAsHadoopFile(dir:file("pairs"))
            assert.same({ 1, 2, 3 }, sc:objectFile(dir:file("objects/*")):collect())
            assert.same({ "a", "b" }, sc:textFile(dir:file("text/*")):collect())
            assert.same({ { "a", "b" } }, sc:sequenceFile(dir:file("pairs/*")):collect())
            assert.equal(2, sc:wholeTextFiles(dir:file("text/?*")):count())
            assert.same({ "a", "\n", "b", "\n" }, sc:binaryRecords(dir:file("text/*"), 1):collect())
        end)

        it("are the ones that a directory would give: hidden names are left out at every level", function()
            for _, name in ipairs({ "a/x", "a/_x", "a/.x", "_b/x", ".c/x", "d/y", "_SUCCESS", ".x.crc" }) do
                dir:write("in/" .. name, name .. "\n")
            end
            local function read(pattern) return sc:textFile(dir:file("in/" .. pattern), 1):collect() end
            assert.same({ "a/x" }, read("a"))
            assert.same({ "a/x" }, read("a/*"))
            assert.same({ "a/x", "d/y" }, read("*/*"))
            assert.same({ "a/x", "d/y" }, read("{*,_*}/[xy]*") and read("*/[xy]*"))
            assert.same({ "a/x" }, read("[_.a]*/x"))
            assert.same({ "a/x", "d/y" }, read("{a,d}/?"))
            assert.same({ "a/x", "d/y" }, read("{a/*,d/*,a/x}"))
            assert.same({ "a/x", "a/_x" }, read("{a/[x],a/_[x]}"))
        end)

        it("and begin with the hidden character in the pattern too, or are written out, are read", function()
            dir:write("in/_x1", "1\n")
            dir:write("in/.x2", "2\n")
            dir:write("in/x3", "3\n")
            assert.same({ "1" }, sc:textFile(dir:file("in/_*")):collect())
            assert.same({ "2" }, sc:textFile(dir:file("in/.x*")):collect())
            assert.same({ "1" }, sc:textFile(dir:file("in/_x1")):collect())
            assert.same({ "2", "3" }, sc:textFile(dir:file("in/{.x2,x3}"), 1):collect())
        end)

        it("are none when all are hidden, which the message says", function()
            dir:write("in/_SUCCESS", "")
            for _, method in ipairs({ "textFile", "wholeTextFiles", "objectFile", "sequenceFile" }) do
                assert.matches(method .. ': no file matches the pattern .*/in/%* %(names that begin with "_" or "." are left out%)',
                    message(function() sc[method](sc, dir:file("in/*")) end))
            end
        end)
    end)

    describe("that are gzip", function()
        it("are unpacked by name, one partition for each", function()
            local list = lines_of(50000)
            gzip("in/a.gz", joined(list))
            gzip("in/B.GZ", "x\r\ny\n\nno end")
            dir:write("in/c.txt", "plain\n")
            assert.same(list, sc:textFile(dir:file("in/a.gz"), 8):collect())
            assert.equal(1, sc:textFile(dir:file("in/a.gz"), 8):getNumPartitions())
            assert.same({ "x", "y", "", "no end" }, sc:textFile(dir:file("in/B.GZ")):collect())
            assert.equal(50005, sc:textFile(dir:file("in")):count())
            assert.equal(50004, sc:textFile(dir:file("in/*.{gz,GZ}")):count())
            local whole = sc:wholeTextFiles(dir:file("in")):collectAsMap()
            assert.equal(joined(list), whole[dir:file("in/a.gz")])
            assert.equal("x\r\ny\n\nno end", whole[dir:file("in/B.GZ")])
            assert.equal("plain\n", whole[dir:file("in/c.txt")])
            assert.same({ "line 1 7919" }, sc:textFile(dir:file("in/a.gz")):take(1))
        end)

        it("may be several that follow one another, also padded with zeros, and hold nothing", function()
            gzip("1.gz", "one\ntw")
            gzip("2.gz", "o\n")
            gzip("3.gz", "")
            local bytes = dir:read("1.gz") .. dir:read("2.gz") .. dir:read("3.gz") .. dir:read("1.gz")
            dir:write("all.gz", bytes .. ("\0"):rep(1000))
            assert.same({ "one", "two", "one", "tw" }, sc:textFile(dir:file("all.gz")):collect())
            assert.same({}, sc:textFile(dir:file("3.gz")):collect())
            assert.equal("", sc:wholeTextFiles(dir:file("3.gz")):values():first())
        end)

        it("are read in bounded memory", function()
            -- 400 MB of zeros and line ends: about 0.4 MB packed.
            assert(os.execute(("yes '%s' | head -n 400000 | gzip -1 >%s"):format(("0"):rep(1000), shell.quote(dir:file("big.gz")))) == 0)
            local job = dir:write("job.lua", [[
                local sc = require("moontide").Context("local[1]")
                print(sc:textFile(arg[1]):map(function(line) return #line end):sum())
                print(io.open("/proc/self/status"):read("*a"):match("VmHWM:%s*(%d+)"))
            ]])
            local result = shell.moontide({ "run", job, dir:file("big.gz") })
            local sum, peak = result.out:match("^(%d+)\n(%d+)\n$")
            assert.equal(400000000, tonumber(sum))
            if (os.getenv("MOONTIDE_SANITIZE") or "") == "" then
                assert.is_true(tonumber(peak) < 100 * 1024, peak .. " KB")
            end
        end)

        it("and damaged are an error that names the file and the byte", function()
            local list = {}
            for i = 1, 20000 do list[i] = tostring(i * i % 1000003) end
            gzip("good.gz", joined(list))
            local good = dir:read("good.gz")
            local function fails(bytes, at, text)
                local path = dir:write("bad.gz", bytes)
                for _, method in ipairs({ "textFile", "wholeTextFiles" }) do
                    local said = message(function() sc[method](sc, path):count() end)
                    local byte = tonumber(said:match(path:gsub("%p", "%%%0") .. ": at byte (%d+): "))
                    assert(byte, said)
                    assert(byte >= at[1] and byte <= at[2], said)
                    assert.matches(text, said)
                end
            end
            for _, size in ipairs({ 0, 1, 5, 10, 11, 1000, #good - 9, #good - 8, #good - 1 }) do
                fails(good:sub(1, size), { size, size }, size == 0 and "the file is empty" or "the file ends within its compressed data")
            end
            fails(good:sub(1, #good - 8) .. "crc!" .. good:sub(-4), { #good - 8, #good }, "can't be unpacked: incorrect data check")
            fails(good:sub(1, #good - 4) .. "size", { #good - 4, #good }, "incorrect length check")
            fails(good .. "garbage behind it", { #good, #good + 12 }, "can't be unpacked: incorrect header check")
            fails(good .. good:sub(1, 500), { #good + 500, #good + 500 }, "the file ends within its compressed data")
            fails(good:sub(1, 2000) .. ("\255"):rep(300) .. good:sub(2301), { 1900, #good }, "can't be unpacked")
            fails("just text\nwith lines\n", { 0, 12 }, "it is no gzip file, as its name says")
        end)
    end)

    describe("that are LZ4", function()
        it("are unpacked by name, one partition for each", function()
            local list = lines_of(50000)
            dir:write("in/a.lz4", lz4.frame(joined(list)))
            dir:write("in/B.LZ4", lz4.frame("x\r\ny\n\nno end"))
            assert.same(list, sc:textFile(dir:file("in/a.lz4"), 8):collect())
            assert.equal(1, sc:textFile(dir:file("in/a.lz4"), 8):getNumPartitions())
            assert.same({ "x", "y", "", "no end" }, sc:textFile(dir:file("in/B.LZ4")):collect())
            assert.equal(50004, sc:textFile(dir:file("in")):count())
            assert.equal(joined(list), sc:wholeTextFiles(dir:file("in/a.lz4")):values():first())
        end)

        it("may be several frames that follow one another, and hold nothing", function()
            dir:write("all.lz4", lz4.frame("one\ntw") .. lz4.frame("") .. lz4.frame("o\n"))
            assert.same({ "one", "two" }, sc:textFile(dir:file("all.lz4")):collect())
            dir:write("none.lz4", lz4.frame(""))
            assert.same({}, sc:textFile(dir:file("none.lz4")):collect())
        end)

        it("and damaged are an error that names the file and the byte", function()
            local list = {}
            for i = 1, 20000 do list[i] = tostring(i * i % 1000003) end
            local good = lz4.frame(joined(list))
            local function fails(bytes, text)
                local path = dir:write("bad.lz4", bytes)
                for _, method in ipairs({ "textFile", "wholeTextFiles" }) do
                    local said = message(function() sc[method](sc, path):count() end)
                    assert.matches(path:gsub("%p", "%%%0") .. ": at byte %d+: ", said)
                    assert.matches(text, said)
                end
            end
            for _, size in ipairs({ 0, 1, 5, 7, 1000, #good - 4, #good - 1 }) do
                fails(good:sub(1, size), size == 0 and "the file is empty" or "the file ends within its compressed data")
            end
            fails("just text\nwith lines\n", "it is no LZ4 frame, as its name says")
            fails(good .. "garbage behind it", "compressed data can't be unpacked")
            fails(good:sub(1, 2000) .. ("\255"):rep(300) .. good:sub(2301), "compressed data can't be unpacked")
            fails(good:sub(1, #good - 4) .. "sum!", "compressed data can't be unpacked")
        end)
    end)

    it("that are packed otherwise are refused by name, with what to do", function()
        for _, ending in ipairs({ "bz2", "xz", "zst", "Z", "zip", "7z", "snappy", "lzo", "lzma", "tgz", "tar.gz", "BZ2" }) do
            local path = dir:write(ending .. "/log." .. ending, "bytes")
            for _, method in ipairs({ "textFile", "wholeTextFiles" }) do
                for _, given in ipairs({ path, dir:file(ending), dir:file(ending .. "/*") }) do
                    assert.matches("input_files_spec.lua:%d+: " .. method .. ": " .. path:gsub("%p", "%%%0") .. ": files ending in %."
                        .. ending:lower() .. " are not read here; unpack it first %(.*read %.gz", message(function()
                            sc[method](sc, given)
                        end))
                end
            end
        end
        gzip("records.gz", "abcd")
        assert.matches("binaryRecords does not read .gz; unpack it first", message(function()
            sc:binaryRecords(dir:file("records.gz"), 4)
        end), 1, true)
        assert.matches("objectFile does not read .lz4; unpack it first (unlz4)", message(function()
            sc:objectFile(dir:write("records.lz4", lz4.frame("abcd")))
        end), 1, true)
        dir:write("named/zst", "no ending\n")
        assert.same({ "no ending" }, sc:textFile(dir:file("named/zst")):collect())
    end)

    describe("that can be read only once", function()
        -- Opens the FIFO when it is read, writes to it, and closes it.
        local function fifo(text)
            local path = dir:file("fifo")
            assert(os.execute("mkfifo " .. shell.quote(path)) == 0)
            os.execute(("cat %s >%s &"):format(shell.quote(dir:write("content", text)), shell.quote(path)))
            return path
        end
        local AGAIN = "fifo: it can be read only once, and was read already: keep its records with cache() or persist()"

        it("are one partition, and say so when they are read again", function()
            local list = lines_of(30000)
            local rdd = sc:textFile(fifo(joined(list)), 8)
            assert.equal(1, rdd:getNumPartitions())
            assert.same(list, rdd:collect())
            assert.matches(AGAIN, message(function() rdd:count() end), 1, true)
            assert.matches(AGAIN, message(function() rdd:map(function(x) return x end):take(1) end), 1, true)
        end)

        it("are read as often as one likes when they are kept", function()
            local rdd = sc:textFile(fifo("a\nb")):cache()
            assert.equal(2, rdd:count())
            assert.same({ "a", "b" }, rdd:collect())
            assert.same({ "b", "a" }, rdd:sortBy(function(x) return -x:byte() end):collect())
        end)

        it("are not read twice within one job", function()
            local rdd = sc:textFile(fifo("a\n"))
            assert.matches(AGAIN, message(function() rdd:union(rdd):collect() end), 1, true)
        end)

        it("may be packed, and wholeTextFiles reads them too", function()
            local path = dir:file("pipe.gz")
            assert(os.execute("mkfifo " .. shell.quote(path)) == 0)
            os.execute(("cat %s >%s &"):format(shell.quote(gzip("content.gz", "packed\n")), shell.quote(path)))
            assert.same({ "packed" }, sc:textFile(path):collect())
            local whole = sc:wholeTextFiles(fifo("a\nb"))
            assert.equal("a\nb", whole:values():first())
            assert.matches(AGAIN, message(function() whole:count() end), 1, true)
        end)

        it("are refused where a file is needed", function()
            local path = dir:file("fifo")
            assert(os.execute("mkfifo " .. shell.quote(path)) == 0)
            for method, n in pairs({ objectFile = 1, sequenceFile = 1, binaryRecords = 4 }) do
                assert.matches(method .. ": .*/fifo can be read only once %(a pipe or a terminal%), and " .. method .. " needs a file",
                    message(function() sc[method](sc, path, n) end))
            end
        end)

        local STDIN = [[
            local sc = require("moontide").Context("local[2]")
            local lines = sc:textFile("/dev/stdin")
            print(lines:getNumPartitions(), lines:count())
            local ok, err = pcall(lines.count, lines)
            print(ok, tostring(err):match("read only once"))
            ok, err = pcall(function() return sc:textFile("/dev/stdin"):count() end)
            print(ok, tostring(err):match("/dev/stdin: it can be read only once"))
        ]]

        it("are the program's input too, whatever it is", function()
            local job = dir:write("job.lua", STDIN)
            local expected = "1\t1000\nfalse\tread only once\nfalse\t/dev/stdin: it can be read only once\n"
            dir:write("lines", joined(lines_of(1000)))
            local program = shell.command({ shell.program, "run", job })
            for _, command in ipairs({ "cat lines | %s", "%s <lines", "(read first; %s) <more" }) do
                dir:write("more", "first\n" .. dir:read("lines"))
                local result = shell.run(command:format(program), { cwd = dir.path })
                -- Where the shell has read a line of a file, the rest is left for the job.
                assert.equal(expected, result.out)
                assert.equal("", result.err)
            end
        end)

        it("do not keep a job from being stopped while nobody writes to them", function()
            assert(os.execute("mkfifo " .. shell.quote(dir:file("fifo"))) == 0)
            local job = dir:write("job.lua", [[
                local sc = require("moontide").Context("local[1]")
                print("reads")
                io.stdout:flush()
                sc:textFile(arg[1]):count()
            ]])
            local process = shell.start(shell.command({ shell.program, "run", job, dir:file("fifo") }))
            process:read_line()
            process:signal("TERM")
            local result = process:wait()
            assert.is_true(result.code ~= 0 and result.code < 137, result.code .. result.err)
        end)
    end)

    describe("that became shorter since they were listed", function()
        local SHRANK = "become shorter since it was listed: it has %d+ bytes now, and had %d+"

        it("are an error that names the file and both sizes, in every partition", function()
            local path = dir:write("log", joined(lines_of(1000)))
            local size = #dir:read("log")
            for _, n in ipairs({ 1, 2, 5 }) do
                dir:write("log", joined(lines_of(1000)))
                local rdd = sc:textFile(path, n)
                for _, left in ipairs({ 0, 10, size - 1 }) do
                    dir:write("log", joined(lines_of(1000)):sub(1, left))
                    local said = message(function() rdd:collect() end)
                    assert.matches(("log: it has become shorter since it was listed: it has %d bytes now, and had %d"):format(left, size),
                        said, 1, true)
                end
            end
            local packed = gzip("log.gz", joined(lines_of(1000)))
            local whole, lines = sc:wholeTextFiles(dir.path), sc:textFile(packed)
            dir:write("log.gz", dir:read("log.gz"):sub(1, -2))
            assert.matches("log.gz: it has " .. SHRANK, message(function() lines:count() end))
            assert.matches("log.gz: it has " .. SHRANK, message(function() whole:count() end))
        end)

        it("are so too where records have a length, and in object files and SequenceFiles, at the end of a record as well", function()
            local list = {}
            for i = 1, 100 do list[i] = { "key" .. i, "value" } end
            local function shrink(name, size) dir:write(name, dir:read(name):sub(1, size)) end
            local function fails(rdd, name, size, listed)
                assert.matches(("/%s: it has become shorter since it was listed: it has %d bytes now, and had %d"):format(
                    name:gsub("%p", "%%%0"), size, listed), message(function() rdd:count() end))
            end
            dir:write("records", ("abcd"):rep(100))
            local records = sc:binaryRecords(dir:file("records"), 4)
            shrink("records", 396)
            fails(records, "records", 396, 400)
            sc:parallelizePairs(list, 1):saveAsObjectFile(dir:file("objects"))
            sc:parallelizePairs({}, 1):saveAsObjectFile(dir:file("empty"))
            sc:parallelizePairs(list, 1):saveAsHadoopFile(dir:file("pairs"))
            local header = #dir:read("empty/part-00000")
            local objects, pairs_read = sc:objectFile(dir:file("objects")), sc:sequenceFile(dir:file("pairs"))
            local sizes = { #dir:read("objects/part-00000"), #dir:read("pairs/part-00000") }
            shrink("objects/part-00000", header)
            shrink("pairs/part-00000", sizes[2] - 1)
            fails(objects, "objects/part-00000", header, sizes[1])
            fails(pairs_read, "pairs/part-00000", sizes[2] - 1, sizes[2])
        end)

        it("may have grown: what was listed is read", function()
            local path = dir:write("log", "a\nb\n")
            local rdd = sc:textFile(path, 2)
            dir:write("log", "a\nb\nc\n")
            assert.same({ "a", "b" }, { unpack(rdd:collect(), 1, 2) })
        end)
    end)

    it("are named by file URLs too; others are refused", function()
        local path = dir:write("in/a b%20c", "x\n")
        for _, url in ipairs({ "file://" .. path, "file:" .. path, "file://localhost" .. path, "file:///" .. path }) do
            assert.same({ "x" }, sc:textFile(url):collect())
        end
        assert.equal(path, sc:wholeTextFiles("file://" .. dir:file("in/*")):keys():first())
        sc:parallelize({ 1 }, 1):saveAsObjectFile("file://" .. dir:file("out"))
        assert.same({ 1 }, sc:objectFile("file://" .. dir:file("out")):collect())
        assert.matches("file://host/x names a file of another machine", message(function() sc:textFile("file://host/x") end), 1, true)
        for method, n in pairs({ textFile = 1, wholeTextFiles = 1, objectFile = 1, sequenceFile = 1, binaryRecords = 1 }) do
            assert.matches(method .. ": hdfs://host/x is a URL; files of this machine are used, not hdfs", message(function()
                sc[method](sc, "hdfs://host/x", n)
            end), 1, true)
        end
        assert.matches("saveAsTextFile: s3a://bucket/x is a URL", message(function()
            sc:parallelize({ 1 }):saveAsTextFile("s3a://bucket/x")
        end), 1, true)
        assert.matches("setCheckpointDir.*hdfs://host/x is a URL", message(function() sc:setCheckpointDir("hdfs://host/x") end))
    end)
end)

-- checkpoint() of datasets: what is written, what is cut, what is read afterwards. Whether something was computed again is seen
-- in accumulators that the functions add to.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local message, sorted = engine.message, engine.sorted

local function list_of(path)
    local names = require("moontide.driver.files").list(path)
    table.sort(names)
    return names
end

local function add(a, b) return a + b end

describe("the directory for checkpoints", function()
    engine.watch(after_each)
    local sc, dir

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
    end)
    after_each(function() dir:remove() end)

    it("is made by setCheckpointDir, and each context has its own in it", function()
        assert.is_nil(sc:getCheckpointDir())
        sc:setCheckpointDir(dir:file("a/b/"))
        assert.same({}, list_of(dir:file("a/b")))
        local first = sc:getCheckpointDir()
        local name = first:match("^" .. dir.path:gsub("%p", "%%%0") .. "/a/b/([%x-]+)$")
        assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", name)
        local other = engine.context()
        other:setCheckpointDir(dir:file("a/b"))
        assert.not_equal(first, other:getCheckpointDir())
        for index, context in ipairs({ sc, other }) do
            local rdd = context:parallelize({ index }, 1):map(function(x) return x end):checkpoint()
            assert.equal(1, rdd:count())
            assert.equal(context:getCheckpointDir() .. "/rdd-" .. rdd:id(), rdd:getCheckpointFile())
        end
        assert.equal(2, #list_of(dir:file("a/b")))
    end)

    it("may be another one later", function()
        sc:setCheckpointDir(dir:file("one"))
        local a = sc:range(3):checkpoint()
        sc:setCheckpointDir(dir:file("two"))
        local b = sc:range(3):checkpoint()
        a:count()
        b:count()
        assert.matches("/one/", a:getCheckpointFile(), 1, true)
        assert.matches("/two/", b:getCheckpointFile(), 1, true)
    end)

    it("is refused when it cannot be used", function()
        dir:write("file", "x")
        assert.matches("rdd_checkpoint_spec.lua:%d+: 'setCheckpointDir': the directory '.*/file/x' cannot be used: .",
            message(function() sc:setCheckpointDir(dir:file("file/x")) end))
        assert.matches("bad argument #1 to 'setCheckpointDir' (string expected, got nil)",
            message(function() sc:setCheckpointDir() end), 1, true)
        assert.matches("bad argument #1 to 'setCheckpointDir' (the text is empty)",
            message(function() sc:setCheckpointDir("") end), 1, true)
        assert.is_nil(sc:getCheckpointDir())
    end)

    it("is that of the streams too", function()
        local ssc = engine.streaming()
        ssc:checkpoint(dir:file("streams"))
        local kept = {}
        local stream = ssc:queueStream({ { 1, 2 }, { 3 } }):map(function(x) return x * 2 end)
        stream:foreachRDD(function(rdd)
            rdd:checkpoint()
            kept[#kept + 1] = { rdd:collect(), rdd:isCheckpointed(), rdd:collect() }
        end)
        ssc:start()
        engine.advance(ssc)
        engine.advance(ssc)
        assert.same({ { { 2, 4 }, true, { 2, 4 } }, { { 6 }, true, { 6 } } }, kept)
        assert.equal(2, #list_of(ssc.sc:getCheckpointDir()))
        ssc:stop(false)
    end)
end)

describe("a checkpoint of a dataset", function()
    engine.watch(after_each)
    local sc, dir, calls

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
        sc:setCheckpointDir(dir:file("checkpoints"))
        calls = sc:accumulator(0)
    end)
    after_each(function()
        calls = nil
        dir:remove()
    end)

    -- Counts in `calls` how many records it has seen.
    local function counted(rdd)
        local seen = calls
        return rdd:map(function(a, b)
            seen:add(1)
            return a, b
        end)
    end

    it("is written after the first action, and cuts the lineage", function()
        local rdd = counted(sc:parallelize({ 1, 2, 3, 4 }, 2)):setName("numbers")
        assert.is_false(rdd:isCheckpointed())
        assert.equal(rdd, rdd:checkpoint())
        assert.equal(rdd, rdd:checkpoint())
        assert.is_false(rdd:isCheckpointed())
        assert.is_nil(rdd:getCheckpointFile())
        assert.matches("numbers, map %(.*%), to be checkpointed\n.*blocks, 4 records", rdd:toDebugString())
        assert.equal(0, calls:value())
        local id, blocks = rdd:id(), engine.live_blocks()

        assert.equal(4, rdd:count())
        assert.is_true(rdd:isCheckpointed())
        assert.equal(8, calls:value()) -- for the action, and for the files
        assert.same({ "_SUCCESS", "part-00000", "part-00001" }, list_of(rdd:getCheckpointFile()))
        assert.equal(("(2) #%d numbers, checkpoint (%s), files in %s\n"):format(id,
            rdd:toDebugString():match("checkpoint %(([^)]*rdd_checkpoint_spec.lua:%d+)%)"), rdd:getCheckpointFile()),
            rdd:toDebugString())
        assert.equal(blocks, engine.live_blocks())

        assert.same({ 1, 2, 3, 4 }, rdd:collect())
        assert.same({ { 1, 2 }, { 3, 4 } }, rdd:glom():collect())
        assert.same({ 3 }, rdd:filter(function(x) return x == 3 end):take(1))
        assert.equal(2, rdd:getNumPartitions())
        assert.equal(id, rdd:id())
        assert.equal(8, calls:value())
        assert.same({ 1, 2, 3, 4 }, sc:objectFile(rdd:getCheckpointFile()):collect())
    end)

    it("is read by what was made from the dataset before", function()
        local base = counted(sc:parallelize({ 1, 2, 3, 4 }, 2)):checkpoint()
        local plus = base:map(function(x) return x + 10 end)
        local both = plus:union(base):coalesce(1)
        local sums = base:map(function(x) return x % 2, x end):reduceByKey(add)
        local product = base:cartesian(base)
        local zipped = base:zip(plus)
        assert.equal(4, plus:count()) -- one on which it depends, not itself
        assert.is_true(base:isCheckpointed())
        assert.equal(8, calls:value())
        assert.same({ 11, 12, 13, 14 }, plus:collect())
        assert.same({ 11, 12, 13, 14, 1, 2, 3, 4 }, both:collect())
        assert.same({ "[0,6]", "[1,4]" }, sorted(sums:collect()))
        assert.equal(16, product:count())
        assert.same({ { 1, 11 }, { 2, 12 }, { 3, 13 }, { 4, 14 } }, zipped:collect())
        assert.equal(8, calls:value())
        assert.matches("map %([^\n]*%)\n%s*%(2%) #%d+ checkpoint [^\n]*\n$", plus:toDebugString())
    end)

    it("is written from what a persistent dataset keeps, which stays until it is unpersisted", function()
        local rdd = counted(sc:parallelize({ 1, 2, 3, 4 }, 2)):persist():checkpoint()
        assert.equal(4, rdd:count())
        assert.equal(4, calls:value())
        assert.is_true(rdd:isCheckpointed())
        assert.matches("checkpoint .*, persistent MEMORY_ONLY_SER, computed: 4 records, 2 in memory", rdd:toDebugString())
        local part = rdd:getCheckpointFile() .. "/part-00000"
        os.rename(part, part .. ".away")
        assert.same({ 1, 2, 3, 4 }, rdd:collect())
        rdd:unpersist()
        assert.matches("part-00000: No such file", message(function() rdd:collect() end), 1, true)
        os.rename(part .. ".away", part)
        assert.same({ 1, 2, 3, 4 }, rdd:collect())
        assert.same({ 1, 2, 3, 4 }, rdd:persist():collect())
        os.rename(part, part .. ".away")
        assert.same({ 1, 2, 3, 4 }, rdd:collect())
        assert.equal(4, calls:value())
    end)

    it("keeps every kind of record", function()
        local null = moontide.null
        local everything = {
            "text", "", "tä\0\255", 0, -1, 0.5, 1e300, 2 ^ 40, math.huge, true, false, null, { 1, 2, { 3 } },
            { a = { b = "c" } }, moontide.array({}), 9223372036854775807LL, ("x"):rep(70000),
        }
        local rdd = sc:parallelize(everything, 3):checkpoint() -- of records at hand, which need no job to be counted
        assert.equal(#everything, rdd:count())
        assert.is_true(rdd:isCheckpointed())
        assert.same(everything, rdd:collect())
        assert.equal(null, rdd:collect()[12])

        local pairs_of = {}
        for i = 1, 25 do
            pairs_of[i] = { "key " .. i, { i } }
        end
        local with_keys = counted(sc:parallelizePairs(pairs_of, 4)):checkpoint()
        assert.equal(25, with_keys:keys():count())
        assert.same(pairs_of, with_keys:collect())
        assert.equal(325, with_keys:mapValues(function(v) return v[1] end):values():sum())
        assert.equal(50, calls:value())
    end)

    it("keeps lines of text", function()
        dir:write("lines.txt", "one\ntwo\n\nthree\n")
        local lines = sc:textFile(dir:file("lines.txt"), 1):checkpoint()
        assert.equal(4, lines:count())
        dir:write("lines.txt", "changed\n")
        assert.same({ "one", "two", "", "three" }, lines:collect())
        assert.equal("checkpoint", lines:toDebugString():match("^%(1%) #%d+ (%a+)"))
    end)

    it("keeps empty partitions, and datasets without any", function()
        local rdd = sc:parallelize({ 1, 2, 3 }, 5):filter(function(x) return x == 2 end):checkpoint()
        local before = rdd:glom():collect()
        assert.is_true(rdd:isCheckpointed())
        assert.same(before, rdd:glom():collect())
        assert.equal(5, rdd:getNumPartitions())
        local none = sc:parallelizePairs({}, 2):checkpoint()
        assert.is_true(none:isEmpty())
        assert.is_true(none:isCheckpointed())
        assert.same({}, none:reduceByKey(add):collect())
        local nothing = sc:emptyRDD():checkpoint()
        assert.same({}, nothing:collect())
        assert.same({ "_SUCCESS" }, list_of(nothing:getCheckpointFile()))
        assert.same({}, nothing:collect())
    end)

    it("keeps the partitioning by key: joins need no shuffle", function()
        local left = counted(sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 } }, 2)):reduceByKey(add, 3):checkpoint()
        local right = sc:parallelizePairs({ { "a", "x" }, { "c", "y" } }, 2):partitionBy(3)
        local joined = left:join(right)
        assert.same({ "[a,[4,x]]" }, sorted(joined:collect()))
        assert.is_true(left:isCheckpointed())
        assert.equal(3, left.node:keyPartitions())
        local again = left:join(right)
        assert.equal(3, again:getNumPartitions())
        assert.is_nil(again:toDebugString():match("shuffle by key[^\n]*\n.*checkpoint"))
        assert.same({ "[a,[4,x]]" }, sorted(again:collect()))
        assert.same({ 2 }, left:lookup("b"))
        assert.equal(3, calls:value()) -- the files were made from the shuffle's output
    end)

    it("is written when a shuffle that forgets its parent comes after it", function()
        local base = counted(sc:parallelize({ 1, 2, 3 }, 2)):checkpoint()
        assert.same({ 3, 2, 1 }, base:sortBy(function(x) return -x end):collect())
        assert.is_true(base:isCheckpointed())
        assert.same({ 1, 2, 3 }, base:collect())
    end)

    it("is written nearest to the action first, and what is above it waits for an action of its own", function()
        local far = counted(sc:parallelize({ 1, 2 }, 1)):checkpoint()
        local near = far:map(function(x) return x * 2 end):checkpoint()
        local side = sc:parallelize({ 7 }, 1):map(function(x) return x end):checkpoint()
        near:union(side):count()
        assert.same({ false, true, true }, { far:isCheckpointed(), near:isCheckpointed(), side:isCheckpointed() })
        assert.same({ 2, 4, 7 }, near:union(side):collect())
        assert.is_false(far:isCheckpointed())
        far:count()
        assert.is_true(far:isCheckpointed())
    end)

    it("is written by each kind of action, also by one that looks at a part of the records", function()
        for name, action in pairs({
            take = function(rdd) assert.same({ 1 }, rdd:take(1)) end,
            first = function(rdd) assert.equal(1, rdd:first()) end,
            isEmpty = function(rdd) assert.is_false(rdd:isEmpty()) end,
            reduce = function(rdd) assert.equal(6, rdd:reduce(add)) end,
            foreach = function(rdd) rdd:foreach(function() end) end,
            saveAsTextFile = function(rdd) rdd:saveAsTextFile(dir:file("text")) end,
            toLocalIterator = function(rdd) assert.equal(1, rdd:toLocalIterator()()) end,
        }) do
            local rdd = sc:parallelize({ 1, 2, 3 }, 3):map(function(x) return x end):checkpoint()
            action(rdd)
            assert.is_true(rdd:isCheckpointed(), name)
            assert.equal(4, #list_of(rdd:getCheckpointFile()), name)
            assert.same({ 1, 2, 3 }, rdd:collect(), name)
        end
    end)

    it("counts from the next action on when the dataset was used before", function()
        local rdd = counted(sc:parallelize({ 1, 2 }, 1))
        rdd:count()
        rdd:checkpoint():count()
        assert.is_true(rdd:isCheckpointed())
        rdd:count()
        assert.equal(6, calls:value())
    end)

    it("waits for an action that succeeds", function()
        local allowed = dir:file("allowed")
        local rdd = sc:parallelize({ 1 }, 1):map(function(x)
            if not io.open(allowed, "r") then error("not yet") end
            return x
        end):checkpoint()
        assert.matches("not yet", message(function() rdd:collect() end))
        assert.is_false(rdd:isCheckpointed())
        dir:write("allowed", "")
        assert.same({ 1 }, rdd:collect())
        assert.is_true(rdd:isCheckpointed())
    end)

    it("needs a directory, and an engine", function()
        local other = engine.context()
        local rdd = other:parallelize({ 1 })
        assert.matches("rdd_checkpoint_spec.lua:%d+: 'checkpoint': there is no directory for checkpoints: call "
            .. "sc:setCheckpointDir%(directory%) before", message(function() rdd:checkpoint() end))
        assert.is_false(rdd:isCheckpointed())
        assert.matches("write x:checkpoint(", message(function() rdd.checkpoint() end), 1, true)
        other:stop()
        for _, name in ipairs({ "checkpoint", "isCheckpointed", "getCheckpointFile" }) do
            assert.matches("'" .. name .. "': the context is stopped", message(function() rdd[name](rdd) end), 1, true)
        end
        assert.matches("'setCheckpointDir': the context is stopped", message(function() other:setCheckpointDir("x") end), 1, true)
    end)

    it("leaves its files when the context is stopped", function()
        local rdd = sc:parallelize({ 1, 2 }, 1):checkpoint()
        rdd:count()
        local directory = rdd:getCheckpointFile()
        sc:stop()
        assert.same({ 1, 2 }, engine.context():objectFile(directory):collect())
    end)

    describe("that is damaged", function()
        local rdd, part, content

        before_each(function()
            rdd = counted(sc:parallelize({ 1, 2, 3, "some text" }, 2)):checkpoint()
            rdd:count()
            part = rdd:getCheckpointFile() .. "/part-00001"
            local file = assert(io.open(part, "rb"))
            content = file:read("*a")
            file:close()
        end)

        after_each(function() rdd = nil end)

        local function put(bytes)
            local file = assert(io.open(part, "wb"))
            file:write(bytes)
            file:close()
        end

        local function expect(reason)
            local text = message(function() rdd:collect() end)
            assert.matches("rdd_checkpoint_spec.lua:%d+: checkpoint: " .. part:gsub("%p", "%%%0"), text)
            assert.matches(reason .. "; it is part of a checkpoint, and the dataset can't be computed from anything else any more: "
                .. "put the file back, or make the dataset anew", text, 1, true)
            assert.same({ 1, 2 }, rdd:take(2)) -- the other part
            put(content)
            assert.same({ 1, 2, 3, "some text" }, rdd:collect())
            assert.equal(8, calls:value())
        end

        it("says so of a file that is missing", function()
            os.remove(part)
            expect("part-00001: No such file or directory")
        end)

        it("says so of a file that is cut off", function()
            put(content:sub(1, -2))
            expect(("it has %d bytes, %d were written; the file is damaged"):format(#content - 1, #content))
        end)

        it("says so of a file that is empty, and of one that has grown", function()
            put("")
            expect(("it has 0 bytes, %d were written; the file is damaged"):format(#content))
            put(content .. "x")
            expect(("it has %d bytes, %d were written; the file is damaged"):format(#content + 1, #content))
        end)

        it("says so of a changed byte, which makes another record of the same size", function()
            put((content:gsub("some text", "same text")))
            expect("its checksum is not that of what was written; the file is damaged")
        end)

        it("says so of a directory in the place of a file", function()
            os.remove(part)
            assert(os.execute("mkdir '" .. part .. "'") == 0)
            assert.matches("it is no file any more; it is part of a checkpoint", message(function() rdd:collect() end), 1, true)
        end)
    end)

    describe("that cannot be written", function()
        it("is an error of the action, and leaves no file and the dataset as it was", function()
            local rdd = counted(sc:parallelize({ 1, 2, 3 }, 2)):checkpoint()
            local fault = require "spec.support.fault"
            finally(fault.clear)
            fault.arm("sequence.write")
            local ok, raised = pcall(rdd.count, rdd)
            fault.clear()
            assert.is_false(ok)
            assert.equal("ECLOSURE", raised.code)
            assert.matches("^checkpoint %([^)]*rdd_checkpoint_spec.lua:%d+%): the job succeeded, but dataset #%d+ could not be "
                .. "written to .*/rdd%-%d+: .*cannot write .*part%-0000%d at byte 0: No space left on device", raised.message)
            assert.matches("call checkpoint%(%) again to have it tried again$", raised.message)
            assert.is_false(rdd:isCheckpointed())
            assert.same({}, list_of(dir:file("checkpoints")))
            assert.is_nil(rdd:toDebugString():match("checkpointed"))
            local before = calls:value()
            assert.equal(3, rdd:count())
            assert.equal(before + 3, calls:value())
            assert.is_false(rdd:isCheckpointed())
            rdd:checkpoint():count()
            assert.is_true(rdd:isCheckpointed())
            assert.same({ 1, 2, 3 }, rdd:collect())
        end)

        it("is an error when the disk is full in the middle of it", function()
            dir:write("job.lua", [[
                local moontide = require "moontide"
                local sc = moontide.Context("local[2]", "full disk")
                sc:setCheckpointDir(arg[1])
                local rdd = sc:parallelize({ 1, 2, 3 }, 3):map(function(x) return x end):checkpoint()
                local ok, raised = pcall(rdd.count, rdd)
                print(ok, raised, rdd:isCheckpointed())
                print(rdd:count(), #require("moontide.driver.files").list(arg[1]))
                sc:stop()
            ]])
            local result = shell.run("MOONTIDE_FAULT=sequence.write:1:-1 " .. shell.quote(shell.program) .. " run "
                .. shell.quote(dir:file("job.lua")) .. " " .. shell.quote(dir:file("full")))
            assert.equal(0, result.code, result.err)
            assert.matches("^false\tcheckpoint %(.*job.lua:4%): the job succeeded, but .*: cannot write .* at byte 0: "
                .. "No space left on device.*\tfalse\n3\t0\n$", result.out)
        end)

        it("is an error when the directory is no more", function()
            local rdd = sc:parallelize({ 1 }, 1):map(function(x) return x end):checkpoint()
            os.remove(dir:file("checkpoints"))
            dir:write("checkpoints", "in the way")
            local ok, raised = pcall(rdd.count, rdd)
            assert.is_false(ok)
            assert.equal("EIO", raised.code)
            assert.matches("could not be written to .*/checkpoints/[%x-]+/rdd%-%d+: ", raised.message)
            assert.same({ 1 }, rdd:collect())
        end)
    end)

    it("is written once by actions at the same time", function()
        local ssc = engine.streaming(1000, { concurrentJobs = 2 })
        local shared = counted(ssc.sc:parallelize({ 1, 2 }, 2))
        ssc.sc:setCheckpointDir(dir:file("streams"))
        shared:checkpoint()
        local got = {}
        local stream = ssc:queueStream({ { 1 } })
        for _ = 1, 2 do
            stream:foreachRDD(function()
                local records = shared:collect()
                got[#got + 1] = records
            end)
        end
        ssc:start()
        engine.advance(ssc)
        assert.same({ { 1, 2 }, { 1, 2 } }, got)
        assert.is_true(shared:isCheckpointed())
        assert.equal(6, calls:value())
        assert.same({ 1, 2 }, shared:collect())
        ssc:stop(false)
        shared = nil
    end)

    it("keeps a lineage that grows in a loop short", function()
        local rdd = sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 2)
        for _ = 1, 20 do
            rdd = rdd:mapValues(function(x) return x + 1 end):persist():checkpoint()
            rdd:count()
            rdd:unpersist()
            assert.equal(1, select(2, rdd:toDebugString():gsub("\n", "\n")))
        end
        assert.same({ { "a", 21 }, { "b", 22 } }, rdd:collect())
    end)
end)

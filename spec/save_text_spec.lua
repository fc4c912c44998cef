-- saveAsTextFile and saveAsTextFiles: compression.

local engine = require "spec.support.engine"
local fault = require "spec.support.fault"
local files = require "moontide.driver.files"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local message = engine.message

describe("saving text with compress = 'gz'", function()
    engine.watch(after_each)
    local dir, sc

    before_each(function() dir, sc = tempdir.new(), engine.context() end)
    after_each(function()
        sc = nil
        fault.clear()
        dir:remove()
    end)

    it("makes parts that end in .gz, which gzip and textFile unpack", function()
        local list = {}
        for i = 1, 30000 do list[i] = "the same line again and again, with a number: " .. i end
        list[7], list[8] = "", ("x"):rep(300000)
        local rdd = sc:parallelize(list, 3)
        rdd:saveAsTextFile(dir:file("packed"), { compress = "gz" })
        rdd:saveAsTextFile(dir:file("plain"))
        assert.same({ "_SUCCESS", "part-00000.gz", "part-00001.gz", "part-00002.gz" }, files.list(dir:file("packed")))
        assert.same(list, sc:textFile(dir:file("packed"), 1):collect())
        for part = 0, 2 do
            local name = ("part-%05d"):format(part)
            assert.equal(dir:read("plain/" .. name), shell.run("gzip -dc " .. shell.quote(dir:file("packed/" .. name .. ".gz"))).out)
            assert.is_true(5 * #dir:read("packed/" .. name .. ".gz") < #dir:read("plain/" .. name))
        end
    end)

    it("keeps empty partitions, pairs, and nothing at all", function()
        sc:parallelizePairs({ { "a", 1 } }, 3):saveAsTextFile(dir:file("pairs"), { compress = "gz" })
        assert.equal(4, #files.list(dir:file("pairs")))
        assert.same({ "(a,1)" }, sc:textFile(dir:file("pairs")):collect())
        sc:emptyRDD():saveAsTextFile(dir:file("none"), { compress = "gz" })
        assert.same({ "_SUCCESS" }, files.list(dir:file("none")))
    end)

    it("does so in streams, and replaces what an earlier run left, compressed or not", function()
        for _, compress in ipairs({ "gz", false, "gz" }) do
            local result = require("moontide.testing").run({ inputs = { { { "a", "b" }, {} } }, build = function(_, stream)
                stream:saveAsTextFiles(dir:file("out"), "txt", { compress = compress or nil, skipEmpty = true })
            end })
            assert.is_nil(result.error)
            local ending = compress and ".gz" or ""
            assert.same({ "_SUCCESS", "part-00000" .. ending, "part-00001" .. ending }, files.list(dir:file("out-1000.txt")))
            assert.same({ "a", "b" }, sc:textFile(dir:file("out-*.txt")):collect())
        end
        assert.is_false(files.exists(dir:file("out-2000.txt")))
    end)

    it("tells of a full disk, and leaves nothing", function()
        for _, size in ipairs({ 10, 3000000 }) do
            fault.arm("part.write")
            assert.matches("saveAsTextFile: cannot write .*/part%-00000.gz at byte 0: No space left on device", message(function()
                sc:parallelize({ size }, 1):map(function(n) return ("%d"):format(n):rep(n) end)
                    :saveAsTextFile(dir:file("out"), { compress = "gz" })
            end))
            fault.clear()
            assert.is_false(files.exists(dir:file("out")))
        end
    end)

    it("refuses what is no option or no compression", function()
        local rdd, stream = sc:parallelize({ 1 }), engine.streaming():queueStream({})
        local function refused(what, ...)
            local arguments = { ... }
            local count = select("#", ...)
            assert.matches("save_text_spec.lua:%d+: saveAsTextFile: " .. what, message(function()
                rdd:saveAsTextFile(dir:file("out"), unpack(arguments, 1, count))
            end))
            assert.matches("save_text_spec.lua:%d+: saveAsTextFiles: " .. what, message(function()
                stream:saveAsTextFiles(dir:file("out"), nil, unpack(arguments, 1, count))
            end))
        end
        refused("option 'compress': 'gzip' is not a compression.* %(valid: gz%)", { compress = "gzip" })
        refused("option 'compress': boolean is not a compression %(valid: gz%)", { compress = true })
        assert.matches("saveAsTextFile has no option 'compres'; did you mean 'compress'?", message(function()
            rdd:saveAsTextFile(dir:file("out"), { compres = "gz" })
        end), 1, true)
        assert.matches("saveAsTextFile has no option 'skipEmpty'", message(function()
            rdd:saveAsTextFile(dir:file("out"), { skipEmpty = true })
        end), 1, true)
        assert.matches('got string: in Spark a compression codec; write { compress = "gz" }', message(function()
            rdd:saveAsTextFile(dir:file("out"), "org.apache.hadoop.io.compress.GzipCodec")
        end), 1, true)
        assert.is_false(files.exists(dir:file("out")))
    end)
end)

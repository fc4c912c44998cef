-- Lines and records of hundreds of megabytes: they go through, or are refused by name; nothing is cut. Those that take gigabytes of
-- memory run when asked for:
--
--     MOONTIDE_LARGE=1 make test ONLY=spec/long_lines_spec.lua

local engine = require "spec.support.engine"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local MB = 1024 * 1024

local large = (os.getenv("MOONTIDE_LARGE") or "") ~= ""
local REASON = "takes 6 GB of memory: MOONTIDE_LARGE=1"

describe("lines longer than 600 MB", function()
    engine.watch(after_each)
    local dir, path

    -- A file with holes: its long line consists of NULs and takes no space.
    before_each(function()
        dir = tempdir.new()
        path = dir:file("long.txt")
        shell.run("truncate -s 650M " .. shell.quote(path) .. " && printf '\nlast\n' >> " .. shell.quote(path))
    end)
    after_each(function() dir:remove() end)

    it("are an error of textFile that names file, size and what to do", function()
        local sc = engine.context()
        assert.matches("long.txt: a line of 681574400 bytes is longer than the limit of 268435456 %(wholeTextFiles reads",
            engine.message(function() sc:textFile(path, 1):count() end))
    end)

    it("are read as a whole by wholeTextFiles, and go through shuffles", function()
        if not large then return pending(REASON) end
        local sc = engine.context("local[1]")
        local lengths = sc:wholeTextFiles(path, 1):map(function(_, text) return #text, text end):groupByKey()
            :map(function(length, texts) return length, #texts[1] end)
        assert.same({ { 650 * MB + 6, 650 * MB + 6 } }, lengths:collect())
    end)

    it("come from sockets where socket.maxLine says so, and are left out where not", function()
        if not large then return pending(REASON) end
        local job = dir:write("job.lua", [[
            local moontide = require "moontide"
            local server = assert(require("moontide.lineserver").start({ file = arg[1], clients = 1 }))
            local sc = moontide.Context{ master = "local[1]", conf = { ["socket.maxLine"] = arg[2] } }
            local ssc = moontide.StreamingContext(sc, 50)
            ssc:socketTextStream("127.0.0.1", server.port):foreachRDD(function(rdd)
                local last
                for _, length in ipairs(rdd:map(function(line) return #line end):collect()) do
                    print(("%.0f"):format(length))
                    last = length == 4
                end
                if last then ssc:stop() end
            end)
            ssc:start()
            ssc:awaitTermination()
            server:stop()
        ]])
        local function run(limit)
            local result = shell.moontide({ "run", job, path, limit }, { timeout = 120 })
            assert.equal(0, result.code, result.err)
            return result
        end
        assert.equal("681574400\n4\n", run("1gb").out)
        local short = run("600mb")
        assert.equal("4\n", short.out)
        assert.matches("681574400", short.err, 1, true)
    end)
end)

describe("records that are large when packed", function()
    engine.watch(after_each)

    it("may have up to 2 GB, and are refused by name beyond", function()
        if not large then return pending(REASON) end
        local sc = engine.context("local[1]")
        local one = sc:parallelize({ 600 * MB }, 1)
        assert.equal(1200 * MB, one:map(function(size) return ("x"):rep(size), ("y"):rep(size) end)
            :groupByKey():map(function(key, values) return #key + #values[1] end):first())
        assert.matches("a record is larger than 2 GB when packed\n  in groupByKey %(.*long_lines_spec.lua:%d+%), partition 0",
            engine.message(function()
                one:map(function(size)
                    local text = ("x"):rep(size)
                    return 1, { text, text, text, text }
                end):groupByKey():count()
            end))
    end)
end)

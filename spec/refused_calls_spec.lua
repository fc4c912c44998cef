-- Calls of the C module that are refused keep nothing of their arguments: checks come before anything is made.
local codec = require "moontide.wire.codec"
local core = require "moontide.core"

local CALLS = 200
local MOST_KB = 8 * 1024 -- a single one of the arguments, kept 200 times, would be 200 MB
local TEXT = ("x"):rep(1024 * 1024)
local OP = codec.pack({ kind = "map", payload = TEXT })
local SANITIZED = (os.getenv("MOONTIDE_SANITIZE") or "") ~= "" -- freed memory stays there; the leak check finds what is lost

local function resident_kb()
    local file = assert(io.open("/proc/self/status"))
    local kb = tonumber(file:read("*a"):match("VmRSS:%s*(%d+)"))
    file:close()
    return kb
end

describe("refused calls of moontide.core", function()
    local engine, graph, queue, rdd, wide

    setup(function()
        engine = assert(core.engine { workers = 1 })
        graph = engine:graph { batch = 1000, clock = "manual", start = 10000 }
        queue = graph:queue {}
        rdd, wide = engine:blocks { {} }, engine:blocks { {}, {} }
    end)

    teardown(function()
        engine:close(1000)
        engine, graph, queue, rdd, wide = nil, nil, nil, nil, nil
        collectgarbage()
    end)

    local function refused(call)
        local function many(count)
            for _ = 1, count do
                assert.is_false((pcall(call)))
            end
            collectgarbage()
            collectgarbage()
        end
        many(5)
        local before = resident_kb()
        many(CALLS)
        local grown = resident_kb() - before
        assert(SANITIZED or grown < MOST_KB, ("%d refused calls have grown the process by %d kB"):format(CALLS, grown))
    end

    local exchanges = {
        { route = "hash", partitions = 2, write = OP, read = "not a descriptor" },
        { route = "hash", partitions = 2, write = OP, read = OP, inPlace = 7 },
        { route = "hash", partitions = 2, write = OP, read = OP, inPlace = OP, partitioner = "not a descriptor" },
        { route = "hash", partitions = 2, write = OP, read = OP, partitioner = OP },
        { route = "single", write = OP, read = OP, partitioner = OP, identity = TEXT },
    }

    it("of operators keep none of them", function()
        refused(function() queue:inverseWindow(4000, 2000, 2, OP, "not a descriptor") end)
        refused(function() queue:inverseWindow(4000, 2000, 2, "not a descriptor", OP) end)
        refused(function() queue:narrow(OP .. "x") end)
        refused(function() queue:state(2, OP, "no dataset") end)
        refused(function() rdd:zip({ wide }, OP) end)
        refused(function() rdd:cartesian(7, OP) end)
        refused(function() rdd:job(OP, { 99 }) end)
        refused(function() rdd:checkpointEnd(rdd, OP) end)
        for _, exchange in ipairs(exchanges) do
            refused(function() queue:shuffle(exchange) end)
            refused(function() rdd:shuffle(exchange) end)
            refused(function() graph:zip({ queue }, OP, false, exchange) end)
        end
    end)

    it("keep nothing where C refuses what the checks let pass", function()
        refused(function() queue:window(1500, 1000) end)
        refused(function() queue:mergeWindow(1500, 1000, 2, OP) end)
        refused(function() queue:inverseWindow(1500, 1000, 2, OP, OP) end)
        refused(function() graph:zip({}, OP, false) end)
    end)

    it("of texts and paths keep none of them", function()
        refused(function() engine:files { { TEXT, 0, 1 }, { TEXT, 0, -1 } } end)
        refused(function() graph:socket { host = TEXT, port = 0 } end)
        refused(function() graph:socket { host = TEXT .. "\0", port = 1 } end)
        refused(function() graph:transformDone("no token", nil, TEXT) end)
        refused(function() rdd:madeBy(TEXT, {}) end)
        refused(function() rdd:checkpoint(TEXT, {}) end)
        refused(function() core.engine { workers = 1, packagePath = TEXT, packageCpath = {} } end)
    end)

    it("of a graph that has been started keep nothing", function()
        graph:transform({ queue }):output()
        assert.is_true(graph:start())
        refused(function() queue:narrow(OP) end)
        refused(function() queue:shuffle { route = "hash", partitions = 2, write = OP, read = OP } end)
        refused(function() queue:mergeWindow(4000, 2000, 2, OP) end)
        refused(function() queue:state(2, OP) end)
        refused(function() queue:mapState(2, OP, wide) end)
        refused(function() graph:zip({ queue }, OP, false, exchanges[1]) end)
        graph:stop()
    end)
end)

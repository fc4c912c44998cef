-- The binding of streams, without the Lua API above it: what crosses, what raises, who keeps whom alive.
local core = require "moontide.core"

local OP = "\x81\xa4kind\xa3map" -- MessagePack {kind = "map"}

describe("moontide.core streams", function()
    local engine, graph, queue

    before_each(function()
        engine = assert(core.engine { workers = 1 })
        graph = engine:graph { batch = 1000, clock = "manual", start = 10500 }
        queue = graph:queue {}
    end)

    after_each(function()
        assert.is_true(engine:close(1000))
        graph, queue = nil, nil
        collectgarbage()
        collectgarbage()
        assert.equal(0, (core.liveBlocks()))
    end)

    it("declares, starts, asks and answers", function()
        local mapped = queue:narrow(OP, true)
        local shuffled = mapped:shuffle { route = "hash", partitions = 3, write = OP, read = OP }
        local transformed = graph:transform { shuffled }
        assert.same({ 0, 1, 2, 3 }, { queue:id(), mapped:id(), shuffled:id(), transformed:id() })
        assert.equal(1000, shuffled:slide())
        assert.equal(graph, transformed:graph())
        assert.equal(0, transformed:output())
        assert.equal(1, graph:union({ mapped, mapped }):output())
        assert.is_nil(graph:zero())
        assert.equal("initialized", graph:state())
        assert.is_true(graph:start())
        assert.same({ 10000, 10500, true, "active" }, { graph:zero(), graph:now(), graph:idle(), graph:state() })

        queue:push(engine:blocks { {}, {} })
        graph:advance(500)
        local event = engine:poll()
        assert.same({ "transform", 3, 11000 }, { event.kind, event.node, event.time })
        assert.equal(graph, event.graph)
        assert.equal(3, event.rdds[1]:partitions())
        graph:transformDone(event.token + 1, nil, "not this one")
        graph:transformDone(event.token, event.rdds[1])
        event = engine:poll()
        assert.same({ "output", 0, 0, 3 }, { event.kind, event.node, event.id, event.rdd:partitions() })
        graph:outputDone(event.token)
        event = engine:poll()
        assert.same({ "output", 1, 1, 4 }, { event.kind, event.node, event.id, event.rdd:partitions() })
        assert.is_false(graph:idle())
        graph:outputDone(event.token, "failed")
        assert.is_true(graph:idle())

        graph:advance(1000)
        event = engine:poll()
        graph:transformDone(event.token, nil, "job.lua:3: no")
        event = engine:poll()
        assert.same({ "generation", 12000, "job.lua:3: no", "ECLOSURE" },
            { event.kind, event.time, event.error, event.code })
        graph:stop(true)
        assert.equal("drained", engine:poll().kind)
        assert.equal("stopped", graph:state())
        assert.is_nil(engine:poll())
    end)

    it("replays datasets, none included", function()
        graph:replay({ engine:blocks { {} }, false, engine:blocks { {}, {} } }, engine:blocks {}):output()
        assert.is_true(graph:start())
        graph:advance(4000)
        local seen = {}
        for event in function() return engine:poll() end do
            seen[#seen + 1] = { event.time, event.rdd:partitions() }
            graph:outputDone(event.token)
        end
        assert.same({ { 11000, 1 }, { 13000, 2 }, { 14000, 0 } }, seen)
    end)

    it("tells listeners only when asked to", function()
        queue:output()
        assert.is_true(graph:start())
        graph:listen(true)
        graph:advance(500)
        local names = {}
        for event in function() return engine:poll() end do
            names[#names + 1] = event.name or event.kind
            if event.kind == "output" then graph:outputDone(event.token) end
        end
        assert.same({ "onBatchSubmitted", "onBatchStarted", "onOutputOperationStarted", "output",
            "onOutputOperationCompleted", "onBatchCompleted" }, names)
    end)

    it("returns what a start has against the graph", function()
        local ok, err, code = graph:start()
        assert.is_nil(ok)
        assert.matches("no output operations registered", err)
        assert.equal("EINVAL", code)
        assert.same({ nil, err, code }, { graph:check() })
        assert.equal("initialized", graph:state())
        queue:output()
        assert.is_true(graph:check())
        assert.equal("initialized", graph:state())
        assert.is_true(graph:start())
        for _, method in ipairs({ "check", "start" }) do
            ok, err, code = graph[method](graph)
            assert.is_nil(ok)
            assert.matches("has already been started", err)
            assert.equal("ESTATE", code)
        end
    end)

    it("names streams, and gives outputs lanes", function()
        local mapped = queue:narrow(OP, true)
        local shown = mapped:narrow(OP, true)
        assert.is_nil(mapped:name())
        assert.is_true(shown:named("counts", mapped))
        assert.same({ "counts", "counts" }, { shown:name(), mapped:name() })
        assert.same({ "another stream is called 'counts' already; names are unique among the streams of a context", "EINVAL" },
            { select(2, queue:named("counts")) })
        assert.has_error(function() queue:named("") end)
        assert.has_error(function() queue:named("a\0b") end)
        assert.has_error(function() queue:named("a", 7) end)
        assert.has_error(function() graph:lane(0, 1) end)
        local output = shown:output()
        graph:lane(output, 1)
        assert.has_error(function() graph:lane(output, 0) end)
        assert.has_error(function() graph:lane(output + 1, 1) end)
        assert.is_true(graph:start())
        assert.equal("ESTATE", select(3, queue:named("late")))
    end)

    it("raises on misuse", function()
        local other = engine:graph { batch = 1000 }
        local elsewhere = assert(core.engine { workers = 1 })
        local foreign = elsewhere:blocks { {} }
        for text, misuse in pairs {
            ["batch must be a whole number"] = function() engine:graph { batch = 1.5 } end,
            ['clock must be "wall" or "manual"'] = function() engine:graph { batch = 1, clock = "moon" } end,
            ["port must be a whole number"] = function() graph:socket { host = "localhost", port = 0 } end,
            ["field host must be a host name"] = function() graph:socket { host = "a\0b", port = 1 } end,
            ["the host is empty"] = function() graph:socket { host = "", port = 1 } end,
            ["union: needs at least one stream"] = function() graph:union {} end,
            ["entry 1 is not a stream"] = function() graph:transform { graph } end,
            ["number 1 belongs to another streaming context"] = function() other:union { queue } end,
            ["dataset of the same engine expected"] = function() queue:push(foreign) end,
            ["only a queue stream takes datasets"] = function() queue:narrow(OP):push(engine:blocks {}) end,
            ["only a manual clock can be moved"] = function() other:advance(1) end,
            ["Graph expected, got Stream"] = function() graph.start(queue) end,
            ["Stream expected, got Graph"] = function() queue.id(graph) end,
            ["operator descriptor expected"] = function() queue:narrow "bytes" end,
        } do
            local ok, err = pcall(misuse)
            assert.is_false(ok, text)
            assert.matches(text, err, 1, true)
        end
        elsewhere:close(1000)
        queue:output()
        assert.is_true(graph:start())
        assert.has_error(function() queue:narrow(OP) end,
            "narrow: inputs, transformations and output operations can't be added after start() or stop(); "
            .. "declare them before, or make a new StreamingContext")
    end)

    it("ignores late answers on a closed graph and raises on everything else", function()
        queue:output()
        assert.is_true(graph:start())
        graph:advance(1000)
        local token = engine:poll().token
        graph:advance(1000)
        graph:close()
        graph:close()
        assert.is_nil(engine:poll())
        graph:outputDone(token)
        graph:transformDone(token, nil, "late")
        graph:stop(false)
        assert.same({ "stopped", true }, { graph:state(), graph:idle() })
        assert.has_error(function() graph:queue {} end, "the graph has been closed")
        assert.has_error(function() queue:id() end, "the graph of this stream has been closed")
    end)

    it("goes with its engine", function()
        queue:output()
        graph:socket { host = "127.0.0.1", port = 9, reconnect = 1000 }
        assert.is_true(graph:start())
        assert.is_true(engine:close(1000))
        assert.equal("stopped", graph:state())
        assert.has_error(function() graph:now() end, "the graph has been closed")
    end)

    it("is kept by its streams and by nobody else", function()
        local known = setmetatable({ graph }, { __mode = "v" })
        graph = nil
        collectgarbage()
        collectgarbage()
        assert.equal(known[1], queue:graph())
        queue = nil
        collectgarbage()
        collectgarbage()
        assert.is_nil(known[1])
    end)
end)

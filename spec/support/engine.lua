-- Contexts for specs: each is stopped after its test, and no block may be left then.
--
--     local engine = require "spec.support.engine"
--     describe("something", function()
--         engine.watch(after_each)
--         it("works", function() local sc = engine.context("local[2]") … end)
--     end)

local moontide = require "moontide"

local engine = {}

local open = {}

--- A context that is stopped after the test.
---@param master? string default "local[2]"
---@param conf? table
---@return moontide.Context
function engine.context(master, conf)
    local sc = moontide.Context({ master = master or "local[2]", appName = "spec", conf = conf })
    open[#open + 1] = sc
    return sc
end

--- A streaming context on a manual clock that starts at 0, with its engine stopped after the test.
---@param batch? number ms, default 1000
---@param conf? table
---@return moontide.StreamingContext
function engine.streaming(batch, conf)
    local sc = engine.context("local[2]", conf)
    return require("moontide.streaming").create(sc, batch or 1000, { clock = "manual", start = 0 })
end

--- Moves the manual clock by one batch and waits until everything is done.
---@param ssc moontide.StreamingContext
function engine.advance(ssc)
    local life = ssc.life
    life.before_turn()
    life.graph:advance(life.batch)
    require("moontide.driver.loop").run_until(function()
        return life.state == "STOPPED" or life.state == "ACTIVE" and life.tasks == 0 and life.graph:idle()
    end)
end

--- Blocks alive in the process, after the collector has run. Each cycle finalizes one link of a chain of handles (a
--- result, its dataset, that one's parents …), so there are as many cycles as bring something. Machine code refers to the
--- functions that were compiled, and through them to datasets: it goes first.
---@return integer
function engine.live_blocks()
    local core = require "moontide.core"
    jit.flush()
    for _ = 1, 10 do
        collectgarbage()
        if core.liveBlocks() == 0 then break end
    end
    return (core.liveBlocks())
end

--- Stops what the test left open and looks for leaks.
---@param after_each function busted's
function engine.watch(after_each)
    after_each(function()
        for _, sc in ipairs(open) do
            assert(sc:stop())
        end
        open = {}
        assert(engine.live_blocks() == 0, "blocks were left behind: " .. engine.live_blocks())
    end)
end

--- The message of the error that `fn(...)` raises; the test fails when it raises none.
---@return string
function engine.message(fn, ...)
    local ok, raised = pcall(fn, ...)
    assert(not ok, "an error was expected")
    return tostring(raised)
end

--- Records as text, sorted: for results without an order.
---@param records any[]
---@return string[]
function engine.sorted(records)
    local text_form = require "moontide.base.text_form"
    local texts = {}
    for index, record in ipairs(records) do
        texts[index] = text_form.value(record)
    end
    table.sort(texts)
    return texts
end

return engine

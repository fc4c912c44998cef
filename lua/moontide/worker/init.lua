--- The entry of a worker's Lua state: C calls `start` once and `run` for each task (host/task/worker.c). README.md has the way from there.
local jit_fixes = require "moontide.base.jit_fixes"
require("moontide.base.iterate").install() -- first: the modules below keep pairs and next in locals
local fast = require "moontide.wire.ffi"
local current = require "moontide.worker.current"
local memory = require "moontide.base.memory"
local failure = require "moontide.worker.failure"
local arity = require "moontide.worker.arity"
local kinds = require "moontide.worker.kinds"
local plans = require "moontide.worker.plan"
local pull = require "moontide.worker.pull"
local shared = require "moontide.closure.shared"
local stage = require "moontide.worker.stage"
local randomness = require "moontide.worker.randomness"
local surroundings = require "moontide.worker.surroundings"
local jit_util = require "jit.util"

-- These register the kinds of operators that they implement (worker/kinds.lua), and so do modules that are used by name.
require "moontide.worker.record_operators"
require "moontide.worker.exchanges"
require "moontide.worker.sinks"

kinds.on_demand("moontide.worker.partition_ends",
    { "count", "sum", "stats", "reducePartition", "foldPartition", "aggregatePartition", "glom", "saveText" })
kinds.on_demand("moontide.worker.hadoop", { "saveObjects", "saveCheckpoint", "saveSequence", "saveLines" })
kinds.on_demand("moontide.worker.joins", {
    "cogroup", "join", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "subtractByKey", "intersection", "zip", "cartesian",
    "zipPartitions",
})
kinds.on_demand("moontide.worker.windows", { "concatLists", "mergeParts", "inverse", "windowAnew" })
kinds.on_demand("moontide.worker.state", { "updateState", "mapWithState", "pickState", "pickMapped" })

local ffi, C = fast.ffi, fast.C

local worker = {}

local WARN = C.TIDE_LOG_WARN

local self_pointer
local context = { batch_time = -1, partition = 0, operators = "" }
local tell, settle = failure.handler(context)

local find, type = string.find, type -- a function of the script may remove them

-- Describing a failure needs the library, which the failing function may have changed: so it is restored first, but not at the end of
-- Lua's stack. A loop that gets hot there would be compiled, and when the events of that find no stack, LuaJIT reports the abort
-- without end.
local function handler(err)
    if type(err) ~= "string" or not find(err, "stack overflow$") then
        surroundings.restore()
    end
    local told = tell(err)
    return told
end

pull.install(handler, settle)

-- Places of our code that LuaJIT has blacklisted, with the number of recordings that were aborted there. Code that reaches such a
-- place is interpreted from then on, so there must be none (spec/blacklist_spec.lua).
local format, gsub, sub = string.format, string.gsub, string.sub -- a function of the script may remove them
local LONG_SOURCE = "^.*(" .. ("."):rep(80) .. ")$"
local BLACKLISTED = 5 -- LJ_TRERR_BLACKL, jit.vmdef.traceerr
local MOST_PLACES = 100
local given_up, places = {}, 0

local function note_abort(fn, pc, reason)
    if reason ~= BLACKLISTED or fn == nil then
        return
    end
    local at = jit_util.funcinfo(fn, pc)
    if not at.source or not failure.is_ours(at.source) then
        return
    end
    local place = sub(at.source, 2) .. ":" .. (at.currentline or 0)
    if not given_up[place] then
        if places == MOST_PLACES then
            return
        end
        places = places + 1
    end
    given_up[place] = (given_up[place] or 0) + 1
end

--- The blacklisted places of our code, with the number of recordings that ended there.
---@return table<string, integer>
function worker.given_up() return given_up end

--- Registers the machine code of each trace with C, so that a loop that does not end can be found from outside. LuaJIT calls it while it
--- compiles. Leaving a trace then would change what it compiles: neither this function nor those that it calls may be compiled.
local function on_trace(what, trace, fn, pc, reason)
    if what == "abort" then
        note_abort(fn, pc, reason)
    elseif what == "flush" then
        C.tide_worker_forget_traces(self_pointer)
    elseif what == "start" then
        local at = jit_util.funcinfo(fn, pc)
        worker.trace_start = failure.place(at.source, at.currentline)
            or failure.is_ours(at.source) and ""
            or format("%s:%d", gsub(sub(at.source, 2), LONG_SOURCE, "…%1"), at.currentline)
    elseif what == "stop" then
        local code, address = jit_util.tracemc(trace)
        if code then
            C.tide_worker_trace(self_pointer, address, #code, worker.trace_start or "")
        end
    end
end

jit.off(on_trace)
jit.off(note_abort)

-- The options that a state begins with (host/vm/vm.c), and LuaJIT's defaults of the others.
local JIT_OPTIONS = {
    3, "maxtrace=4000", "maxrecord=8000", "maxside=200", "maxsnap=1000", "loopunroll=20", "hotloop=40", "hotexit=10", "tryside=4",
    "instunroll=4", "callunroll=3", "recunroll=2",
}

--- Called once, with the worker's C struct.
function worker.start(pointer)
    self_pointer = ffi.cast("struct tide_worker *", pointer)
    current.in_worker = true
    memory.describe = failure.exhausted
    require("moontide.worker.scan").install()
    jit_fixes.watch(on_trace)
    require("moontide.worker.coroutines").install()
    require("moontide.base.finalizers").install(function(text) C.tide_log(WARN, "worker", "%s", text) end)
    randomness.install()
    for _, option in ipairs(jit_fixes.options) do JIT_OPTIONS[#JIT_OPTIONS + 1] = option end
    surroundings.install(JIT_OPTIONS)
end

-- Stages by plan id. Bounded: the jobs of transform and foreachRDD may differ in every batch.
local KEEP = 512
local stages, stage_count, clock = {}, 0, 0

local function drop_stage(id)
    stage.forget(stages[id].pipe)
    stages[id] = nil
    stage_count = stage_count - 1
end

local function drop_oldest()
    local oldest, when = nil, math.huge
    for id, known in pairs(stages) do
        if known.used < when then
            oldest, when = id, known.used
        end
    end
    drop_stage(oldest)
end

local function is_stale(known)
    for _, id in ipairs(known.broadcasts) do
        if shared.is_gone(id) then
            return true
        end
    end
    return false
end

-- Drops stages with a destroyed broadcast variable: their functions may have stored its value in variables of their own.
local function drop_stale()
    for id, known in pairs(stages) do
        if is_stale(known) then
            drop_stage(id)
        end
    end
end

-- A stage: { pipe =, slots =, broadcasts =, reaches =, note = its operators as text, place = for random numbers, used = for
-- drop_oldest }.
local function stage_of(plan)
    local id = ffi.string(plan.id, 16)
    local known = stages[id]
    clock = clock + 1
    if known == nil then
        local loaded = plans.load(ffi.string(plan.bytes, plan.size))
        known = {
            pipe = stage.build(loaded), slots = loaded.slots, note = loaded.summary, broadcasts = loaded.broadcasts,
            place = tonumber(plan.id[0] % 0x10000000000000ULL), reaches = loaded.reaches,
        }
        if stage_count >= KEEP then
            drop_oldest()
        end
        stages[id] = known
        stage_count = stage_count + 1
    end
    known.used = clock
    return known
end

local function work(task, cleanup)
    local known = stage_of(task.plan)
    C.tide_worker_note(self_pointer, known.note, task.batch_time)
    randomness.begin(task.seed, context.batch_time, context.partition, known.place)
    context.operators, context.reaches = known.note, known.reaches
    local execution = {
        task = task, inputs = task.inputs, outputs = task.outputs, cursor = 0, partition = context.partition,
        cleanup = cleanup, cancelled = task.cancelled,
    }
    arity.begin(execution, known.slots)
    stage.run(known.pipe, execution)
    local made = 0
    for at = 0, task.noutputs - 1 do made = made + tonumber(C.tide_blocks_records(task.outputs + at)) end
    task.records_out = made
    task.updates = shared.updates()
end

--- Runs one task; raises one complete text when it fails. The outputs of a failed task are released by the driver.
function worker.run(pointer)
    local task = ffi.cast("struct tide_task_work *", pointer)
    context.batch_time, context.partition, context.operators = tonumber(task.batch_time), tonumber(task.partition), "?"
    context.reaches = true
    local cleanup = {}
    current.cleanup, current.cancelled = cleanup, task.cancelled
    if shared.begin() then
        drop_stale()
    end
    local ok, err = xpcall(work, handler, task, cleanup)
    surroundings.restore(ok and not context.reaches)
    -- Emptied, because compiled stages that wait for their next task refer to it: what this task cleaned up is no longer needed.
    for at = #cleanup, 1, -1 do
        pcall(cleanup[at])
        cleanup[at] = nil
    end
    if ok then
        return
    end
    err = settle(err)
    if err.code then
        C.tide_worker_code(self_pointer, err.code)
    end
    error(err.text, 0)
end

return worker

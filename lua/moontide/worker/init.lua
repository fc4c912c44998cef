--- What a worker state runs: C calls `start` once and `run` for each task (host/task/worker.c).
local jit_fixes = require "moontide.base.jit_fixes"
require("moontide.base.iterate").install() -- first: the modules below keep pairs and next in locals
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local current = require "moontide.worker.current"
local memory = require "moontide.base.memory"
local unpack_closures = require "moontide.closure.unpack"
local failure = require "moontide.worker.failure"
local arity = require "moontide.worker.arity"
local pipe = require "moontide.worker.stage"
require "moontide.worker.inverse_window"
require "moontide.worker.state"
local shared = require "moontide.closure.shared"
local sinks = require "moontide.worker.sinks"
local randomness = require "moontide.worker.randomness"
local surroundings = require "moontide.worker.surroundings"
local jit_util = require "jit.util"

local ffi, C = fast.ffi, fast.C

local worker = {}

local WARN = C.TIDE_LOG_WARN

local self_pointer
local context = { batch_time = -1, partition = 0, operators = "" }
local tell, settle = failure.handler(context)

local find, type = string.find, type -- also when a function has taken them away

-- Telling a failure needs the library, which the function that failed may have taken apart. Not so at the end of Lua's stack: a loop
-- that gets hot there would be compiled, and when the events of that find no room, LuaJIT tells of the abort for ever.
local function handler(err)
    if type(err) ~= "string" or not find(err, "stack overflow$") then
        surroundings.restore()
    end
    local told = tell(err)
    return told
end

pipe.handler, pipe.settle = handler, settle

-- Aborted recordings that met code of ours which LuaJIT had given up for good ("blacklisted"): how often, by place. Whatever reaches
-- such a place is interpreted from then on, so there must be none (spec/blacklist_spec.lua).
local format, gsub, sub = string.format, string.gsub, string.sub -- a function of the script may have taken them away
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

--- Places of our own code that LuaJIT has given up, with how many recordings ended there.
---@return table<string, integer>
function worker.given_up() return given_up end

--- Registers the machine code of each trace, so that a loop that does not end can be found from outside. LuaJIT calls it while
--- it compiles, and leaving a trace then changes what it compiles: so neither this function nor any that it calls may be
--- compiled themselves.
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

-- As a state begins (host/vm/vm.c), and LuaJIT's defaults of what a script may also set.
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
    surroundings.install(JIT_OPTIONS)
end

-- Stages, by plan id. Bounded: jobs made in every batch by transform and foreachRDD may differ each time.
local KEEP = 512
local stages, stage_count, clock = {}, 0, 0

local function drop_stage(id)
    pipe.forget(stages[id].pipe)
    stages[id] = nil
    stage_count = stage_count - 1
end

local function drop_oldest()
    local oldest, when = nil, math.huge
    for id, stage in pairs(stages) do
        if stage.used < when then
            oldest, when = id, stage.used
        end
    end
    drop_stage(oldest)
end

local function is_stale(stage)
    for _, id in ipairs(stage.broadcasts) do
        if shared.is_gone(id) then
            return true
        end
    end
    return false
end

-- Functions may have put a broadcast variable's value, or what they made of it, into variables of their own.
local function drop_stale()
    for id, stage in pairs(stages) do
        if is_stale(stage) then
            drop_stage(id)
        end
    end
end

local function summary(node, sink, names)
    if node[1] == "chain" then
        summary(node[2], nil, names)
        for _, op in ipairs(node[3]) do names[#names + 1] = ("%s (%s)"):format(op.name or op.kind, op.site or "?") end
    elseif node[1] == "concat" then
        for _, child in ipairs(node[2]) do summary(child[2], nil, names) end
    elseif node[1] == "same" then -- stands for another one
        return names
    elseif node[1] == "zip" then
        for _, child in ipairs(node[3]) do summary(child, nil, names) end
        names[#names + 1] = ("%s (%s)"):format(node[2].name or node[2].kind, node[2].site or "?")
    elseif node[2] then
        names[#names + 1] = ("%s (%s)"):format(node[2].name or node[2].kind, node[2].site or "?")
    end
    local op = sink and (sink[1] and sink[2] or sink)
    if op then
        names[#names + 1] = op.site and ("%s (%s)"):format(op.name or op.kind, op.site) or op.name or op.kind
    end
    return names
end

-- Stripped bytecode of adding: whatever its parameters are called, it is the same bytes. Such a function is carried out in C.
local ADD = string.dump(function(a, b) return a + b end, true)
local SUBTRACT = string.dump(function(a, b) return a - b end, true)

local function is(fn, known)
    local ok, bytes = pcall(string.dump, fn, true)
    return ok and bytes == known
end

local function is_add(fn) return is(fn, ADD) end

-- The inverse of adding, of a window.
local function is_subtract(fn) return is(fn, SUBTRACT) end

local function load_function(session, op, bytes)
    local fn, why = session:load(bytes)
    if fn == nil then
        error(("%s\n  in %s (%s)"):format(why, op.name or op.kind, op.site or "?"), 0)
    end
    return fn
end

local function load_op(session, op)
    op.place = op.draw and (op.static and { place = op.draw } or op.draw)
    if op.fn then
        op.f = load_function(session, op, op.fn)
    end
    if op.merge then
        op.merge_f = load_function(session, op, op.merge)
        op.adds = is_add(op.merge_f)
    end
    if op.inverse then
        op.inverse_f = load_function(session, op, op.inverse)
        op.subtracts = is_subtract(op.inverse_f)
    end
    if op.filter then
        op.filter_f = load_function(session, op, op.filter)
    end
    if op.partition then
        op.partition_f = load_function(session, op, op.partition)
    end
    if op.create then
        op.create_f = load_function(session, op, op.create)
    end
    if op.zero then
        local zero = op.zero
        local plain = unpack_closures.load(zero)
        if type(plain) ~= "table" then
            op.make_zero = function() return plain end
        else
            op.make_zero = function() return unpack_closures.load(zero) end
        end
        -- foldByKey, aggregateByKey: a key's first value meets a zero value of its own.
        if op.merge and not op.create then
            local make_zero, merge = op.make_zero, op.merge_f
            op.create_f = function(value) return merge(make_zero(), value) end
        end
    end
end

-- An operator whose function decides of which kind its records are has a slot in the task.
local function add_slot(slots, op)
    if op.arity ~= 0 then
        return
    end
    op.slot = #slots
    slots[#slots + 1] = op
end

-- In the order of slots (host/task/task.h).
local function load_node(session, node, slots)
    if node[1] == "chain" then
        load_node(session, node[2], slots)
        for at, op in ipairs(node[3]) do
            if op[1] then -- [difference, op]: one that asks for the number of its partition
                op[2].shift, op[2].of_task = op[1], op[3]
                op = op[2]
                node[3][at] = op
            end
            load_op(session, op)
            add_slot(slots, op)
        end
    elseif node[1] == "concat" then
        for _, child in ipairs(node[2]) do load_node(session, child[2], slots) end
    elseif node[1] == "same" then -- stands for another one
        return
    elseif node[1] == "zip" then
        load_op(session, node[2])
        add_slot(slots, node[2])
        for _, child in ipairs(node[3]) do load_node(session, child, slots) end
    elseif node[2] then
        load_op(session, node[2])
    end
end

local function stage_of(plan)
    local id = ffi.string(plan.id, 16)
    local stage = stages[id]
    clock = clock + 1
    if stage == nil then
        local tree = codec.unpack(ffi.string(plan.bytes, plan.size))
        local node, sink = tree[1], tree[2]
        shared.meet()
        local session, slots = unpack_closures.session(), {}
        load_node(session, node, slots)
        if sink[1] then
            load_op(session, sink[2])
        end
        local terminal = sinks.new(sink)
        stage = { pipe = pipe.build(node, terminal), slots = slots, note = table.concat(summary(node, sink, {}), ", "),
            place = tonumber(plan.id[0] % 0x10000000000000ULL), broadcasts = shared.met() }
        if stage_count >= KEEP then
            drop_oldest()
        end
        stages[id] = stage
        stage_count = stage_count + 1
    end
    stage.used = clock
    return stage
end

local function work(task, cleanup)
    local stage = stage_of(task.plan)
    C.tide_worker_note(self_pointer, stage.note, task.batch_time)
    randomness.begin(task.seed, context.batch_time, context.partition, stage.place)
    context.operators = stage.note
    local run = {
        task = task, inputs = task.inputs, outputs = task.outputs, cursor = 0, partition = context.partition,
        cleanup = cleanup, cancelled = task.cancelled,
    }
    arity.begin(run, stage.slots)
    pipe.run(stage.pipe, run)
    local made = 0
    for at = 0, task.noutputs - 1 do made = made + tonumber(C.tide_blocks_records(task.outputs + at)) end
    task.records_out = made
    task.updates = shared.updates()
end

--- Runs one task; raises one complete text when it fails. The outputs of a failed task are released by the driver.
function worker.run(pointer)
    local task = ffi.cast("struct tide_task_work *", pointer)
    context.batch_time, context.partition, context.operators = tonumber(task.batch_time), tonumber(task.partition), "?"
    local cleanup = {}
    current.cleanup, current.cancelled = cleanup, task.cancelled
    if shared.begin() then
        drop_stale()
    end
    local ok, err = xpcall(work, handler, task, cleanup)
    surroundings.restore()
    for at = #cleanup, 1, -1 do pcall(cleanup[at]) end
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

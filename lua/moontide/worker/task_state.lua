--- The objects that a running task consists of: one execution, and a state for each pipe that runs in it.

local task_state = {}

--- One execution of a task: what all of its pipes share.
---@class moontide.worker.Execution
---@field task ffi.cdata* struct tide_task_work
---@field inputs ffi.cdata* its inputs, struct tide_task_input[]
---@field cursor integer the input that is read next
---@field partition integer number of the task's partition
---@field cleanup function[] called, last first, when the task has ended or failed
---@field cancelled ffi.cdata* pointer to a word that is not 0 when the task must end, or NULL
---@field arities table<table, 1|2> by operator, what its records are known to be (arity.lua)
---@field seen table<table, string> by operator, a record that made it known in this task, as text
---@field stamp integer changes when something becomes known; no two executions share one
---@field generators table<any, integer>? generators of random numbers by operator and place in the plan (stage.lua)
---@field collected table<table, table>? inputs that several nodes read, by pipe and first input (inputs.lua)
---@field drained boolean? an iterator of the script may still refer to blocks of `collected`

--- The state of one pipe: what its loops and its terminal work on. Generated code knows it as S. Fields of a terminal are set by its
--- `begin`; no pipe has two terminals, so they may have the same name.
---@class moontide.worker.State
---@field execution moontide.worker.Execution
---@field outputs ffi.cdata*? lists of blocks that the terminal fills, struct tide_blocks[]; nil: it yields records
---@field output_count integer how many
---@field position integer where the next record begins in the block that is being read
---@field empties integer empty arrays that have been checked for keys (generate.lua)
---@field arity 1|2|nil what the records at the terminal are; nil: there was none yet
---@field maker table? the operator that made the first of them
---@field first_record string? that record, as text
---
---Iterators that records come from (feed.lua):
---@field check_record fun(a: any, b: any, c: any) gets the first record, and each of another arity
---@field turns integer records that the loop may still read before a better loop takes over
---@field iterator_slot integer? generator of the function that makes the records (randomness.lua)
---@field d1 integer? d1, d2 …: generator of the operator with that number, if it draws random numbers
---
---Terminals that write packed records (sinks.lua, hadoop.lua):
---@field writer ffi.cdata* codec.writer(): the records that are not in a block yet
---@field left integer? take: records still wanted
---@field router ffi.cdata*? tide_router: spreads records over `outputs`
---@field combine ffi.cdata*? tide_combine: the keys of a reducing shuffle, and their values that are numbers
---@field others table<integer, any> values that are no numbers, by the key's entry in `combine`
---@field general boolean there are such values
---@field anchors table<integer, string> keys that are kept alive, by entry
---@field part ffi.cdata*? the part file that is written
---@field grouped integer records in the value of the object file that is being made
---
---Terminals that reduce a partition (partition_ends.lua):
---@field count integer records so far
---@field value any what they have been reduced to
---@field has_value boolean there is a value yet
---@field list any[] glom: the records
---@field sum number
---@field mean number
---@field m2 number sum of squared distances from the mean
---@field min number
---@field max number
---
---The terminal of mapPartitions, which hands records over in runs (pull.lua):
---@field values any[] the records of the run, or their keys; `count` of them
---@field seconds any[] pairs: their values
---@field most integer how many records the run may have
---@field bytes integer bytes of the strings in it
---@field has_tables boolean there are tables among the records

--- A new state.
---@param execution moontide.worker.Execution
---@param outputs? ffi.cdata* struct tide_blocks[]
---@param output_count? integer default 1
---@return moontide.worker.State
function task_state.new(execution, outputs, output_count)
    return { execution = execution, outputs = outputs, output_count = output_count or 1, empties = 0 }
end

return task_state

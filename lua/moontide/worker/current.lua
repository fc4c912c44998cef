--- The task that this worker runs, for functions of ours that travel as closure packages and therefore get nothing but their arguments.
--- init.lua fills it in for each task.
---@class moontide.worker.current
---@field cleanup function[] called, last first, when the task has ended or failed
---@field in_worker boolean true: this is the state of a worker
---@field cancelled ffi.cdata* pointer to a word that is not 0 when the task is to be given up, or nil

return { cleanup = {}, cancelled = nil, in_worker = false }

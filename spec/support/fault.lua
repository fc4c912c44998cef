-- Faults by name (host/base/fault.h) in the process of the spec; those of other processes are set by MOONTIDE_FAULT.
--
--     local fault = require "spec.support.fault"
--     after_each(fault.clear)
--     fault.arm("part.write")          -- from now on it fails
--     fault.arm("output.rename", 1, 1) -- one pass is right, the next one fails, then all are right

local fast = require "moontide.wire.ffi"

fast.ffi.cdef [[
void tide_fault_arm(const char *name, long skip, long times);
void tide_fault_clear(void);
]]

local fault = {}

---@param name string
---@param skip? integer passes that do not fail, default 0
---@param times? integer passes that fail then, default all
function fault.arm(name, skip, times)
    fast.C.tide_fault_arm(name, skip or 0, times or -1)
end

--- Nothing fails any more.
function fault.clear()
    fast.C.tide_fault_clear()
end

return fault

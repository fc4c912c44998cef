--- Advice for errors of LuaJIT that functions of a script raise in workers only, where not everything exists that the script declared or
--- defined.
local hints = {}

local CURES = {
    { "missing declaration for symbol '([^']*)'",
      "ffi.cdef of the script does not reach the workers: declare %s in the function, or in a module that it requires" },
    { "attempt to index field '(value)' %(a function value%)",
      "of a broadcast variable, %s is a method: b:value()" },
    { "attempt to call global '([^']*)' %(a nil value%)",
      "the script had no global %s when the operator was called" },
    { "attempt to index global '([^']*)' %(a nil value%)",
      "the script had no global %s when the operator was called" },
}

--- The message with the cure in brackets behind its first line, where there is one.
---@param text string
---@return string
function hints.add(text)
    local first, rest = text:match("^([^\n]*)(.*)$")
    for _, cure in ipairs(CURES) do
        local name = first:match(cure[1])
        if name then
            return ("%s (%s)%s"):format(first, cure[2]:format(name), rest)
        end
    end
    return text
end

return hints

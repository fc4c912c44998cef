--- The globals that a function of the script uses: their names, and what it would read from them.
local M = {}

local MAX_INDEX_CHAIN = 100

--- The value a function would read from a global. A strict mode that raises for undefined names means nil.
---@param env table
---@param name string
---@return any
function M.read(env, name)
    local value = rawget(env, name)
    for _ = 1, MAX_INDEX_CHAIN do
        if value ~= nil then
            return value
        end
        local mt = getmetatable(env)
        local index = type(mt) == "table" and rawget(mt, "__index")
        if type(index) == "function" then
            local ok, result = pcall(index, env, name)
            if ok then
                return result
            end
            return nil
        elseif type(index) ~= "table" then
            return nil
        end
        env = index
        value = rawget(env, name)
    end
end

--- The globals that a function may use. One that names _G may find others through it, `_G.limit`: those whose names are among its
--- strings.
---@param scan moontide.closure.bytecode.Scan
---@param env table the function's environment
---@return string[] names
function M.of(scan, env)
    local globals, through = scan.globals, false
    for i = 1, #globals do
        through = through or globals[i] == "_G"
    end
    if not through then
        return globals
    end
    local all, more = {}, {}
    for i = 1, #globals do
        all[i] = globals[i]
    end
    for name in pairs(scan.strings) do
        if M.read(env, name) ~= nil then
            more[#more + 1] = name
        end
    end
    table.sort(more)
    for i = 1, #more do
        all[#all + 1] = more[i]
    end
    return all
end

return M

-- A Lua process other than the one that packed: loads packages in one session and calls them.
--
--     luajit spec/support/closure_process.lua <package file>...
--
-- Calls each function once with the number of its package and prints the results, one line a package. A package that
-- can't be loaded prints "error: " and the message.

local unpack_package = require("moontide.closure.unpack").session()

for i = 1, #arg do
    local file = assert(io.open(arg[i], "rb"))
    local bytes = file:read("*a")
    file:close()
    local fn, err = unpack_package:load(bytes)
    if fn == nil then
        print("error: " .. err)
    else
        local results = { fn(i) }
        for k = 1, #results do
            results[k] = tostring(results[k])
        end
        print(table.concat(results, " "))
    end
end

--- The classes of the handles that scripts hold. The files of this folder declare the methods, by topic,
--- and add them when they are loaded; topics that few scripts use are loaded at the first name that is not found.

local check = require "moontide.base.check"

local handles = {}

local methods = { Context = {}, RDD = {}, StreamingContext = {}, DStream = {} }

-- What to say of a name that a class does not have.
local function instead_of(class)
    return setmetatable({}, { __index = function(_, name)
        return require("moontide.operators.instead").of(class, name, methods.RDD)
    end })
end

--- The metatables, by which a handle is known.
handles.Context = check.class("Context", "a", methods.Context, instead_of "Context")
handles.RDD = check.class("RDD", "an", methods.RDD, instead_of "RDD")
handles.StreamingContext = check.class("StreamingContext", "a", methods.StreamingContext, instead_of "StreamingContext")
handles.DStream = check.class("DStream", "a", methods.DStream, instead_of "DStream")

--- Adds methods to the classes.
---@param topic table<string, table<string, function>> methods by class and name; class Handle: of datasets and streams
function handles.add(topic)
    for class, functions in pairs(topic) do
        for _, each in ipairs(class == "Handle" and { "RDD", "DStream" } or { class }) do
            for name, method in pairs(functions) do
                methods[each][name] = method
            end
        end
    end
end

--- Names modules that add methods to a class. They are loaded one after the other when the class lacks a name that is asked for.
---@param class string
---@param modules string[] those more likely to be used first
function handles.on_demand(class, modules)
    local at = 0
    setmetatable(methods[class], {
        __index = function(list, name)
            while at < #modules do
                at = at + 1
                require(modules[at])
                local method = rawget(list, name)
                if method ~= nil then
                    return method
                end
            end
        end,
    })
end

--- Checks the receiver of a method, and that its context is open.
---@param self any
---@param class table handles.RDD …
---@param method string
---@return table scope see operators/init.lua
function handles.begin(self, class, method)
    check.self(self, class, method)
    self.scope.ready(method)
    return self.scope
end

return handles

--- The directory of a packed function: which nodes it has, and where the record of each is. For closure/unpack.lua.

local new_table = require "table.new"
local format = require "moontide.closure.format"

local TABLE, FUNCTION, ENV, GLOBAL, PATH, SHARED = format.TABLE, format.FUNCTION, format.ENV, format.GLOBAL, format.PATH, format.SHARED

local directory = {}

---@class moontide.unpack.Package
---@field bytes string
---@field name string content digest
---@field label string where the root function was written
---@field n integer nodes
---@field kind integer[]
---@field a any[] first word of the shape: array size, bytecode node, environment node or module
---@field b any[] second word: hash size, environment node or fields
---@field c any[] third word: has metatable
---@field from integer[] where the record of a node is, from 0
---@field to integer[]
---@field root integer where the root value is
---@field claims moontide.unpack.Claim[]
---@field claimed table<integer, moontide.unpack.Claim>
---@field objects table<integer, any> what the nodes became
---@field globals integer[] nodes of globals

---@class moontide.unpack.Claim
---@field node integer in this package
---@field key string which packages may have brought the node: digest and what was new in it
---@field name string digest of that package
---@field rank integer 0: the last of them
---@field target integer node there

local function read_claims(bytes, head)
    local claims, claimed = {}, {}
    local r = format.reader(bytes, head.claims, head.stop)
    if r.pos == r.stop then
        return claims, claimed
    end
    for _ = 1, r:uint() do
        local name = bytes:sub(r.pos + 1, r.pos + 8)
        r.pos = r.pos + 8
        local key = name .. r:uint() .. "/" .. r:uint()
        local rank = r:uint()
        for _ = 1, r:uint() do
            local claim = { key = key, name = name, rank = rank, node = r:uint(), target = r:uint() }
            claims[#claims + 1] = claim
            claimed[claim.node] = claim
        end
    end
    return claims, claimed
end

--- Reads the directory of a package; raises when it is damaged or of another LuaJIT build.
---@param bytes string
---@return moontide.unpack.Package
function directory.open(bytes)
    local head, err = format.open(bytes)
    if not head then
        error(err, 0)
    end
    local n = head.nodes
    local kind, from, to = new_table(n, 0), new_table(n, 0), new_table(n, 0)
    local a, b, c = new_table(n, 0), new_table(n, 0), new_table(n, 0)
    local globals = {}
    local r = format.reader(bytes, head.dir, head.body)
    local label = r:string()

    local body = format.reader(bytes, head.body, head.claims)
    body:skip()
    local at = body.pos
    for node = 1, n do
        local k = r:byte()
        kind[node] = k
        if k == TABLE then
            a[node], b[node], c[node] = r:uint(), r:uint(), r:byte()
        elseif k == FUNCTION then
            a[node], b[node] = r:uint(), r:uint()
        elseif k == PATH then
            local fields = {}
            a[node] = r:string()
            for i = 1, r:uint() do
                fields[i] = r:string()
            end
            b[node] = fields
        elseif k == SHARED then
            a[node], b[node] = r:string(), r:uint()
        elseif k == ENV then
            a[node] = r:byte()
        elseif k == GLOBAL then
            a[node] = r:uint()
            globals[#globals + 1] = node
        end
        from[node] = at
        at = at + r:uint()
        to[node] = at
    end
    if at ~= head.claims or r.pos ~= r.stop then
        error("the closure package is damaged (its directory does not match its body)", 0)
    end
    local claims, claimed = read_claims(bytes, head)
    return {
        bytes = bytes, name = head.name, label = label, n = n, kind = kind, a = a, b = b, c = c, from = from, to = to,
        root = head.body, claims = claims, claimed = claimed, objects = new_table(n, 0), globals = globals,
    }
end

--- The bytes of a node's record.
---@param package moontide.unpack.Package
---@param node integer
---@return string
function directory.record(package, node)
    return package.bytes:sub(package.from[node] + 1, package.to[node])
end

--- A reader of a node's record.
---@param package moontide.unpack.Package
---@param node integer
---@return moontide.closure.Reader
function directory.reader(package, node)
    return format.reader(package.bytes, package.from[node], package.to[node])
end

return directory

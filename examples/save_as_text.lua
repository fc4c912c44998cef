-- Writes a dataset as text files, one for each partition, and reads it back.
--
-- Shows: saveAsTextFile and what it leaves behind, textFile on a single part, pairs as text.
--
--     moontide run examples/save_as_text.lua [directory]
--
-- Prints the parts with their lines. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local directory = arg[1] or os.tmpname()
if not arg[1] then
    os.remove(directory) -- a directory is to come there
end

local sc = moontide.Context("local[2]", "SaveAsText")
sc:parallelize({ "ebb", "flow", "neap", "spring" }, 2)
    :map(function(tide) return tide, #tide end)
    :saveAsTextFile(directory)

local parts = { "part-00000", "part-00001" }
for _, part in ipairs(parts) do
    print(part)
    for _, line in ipairs(sc:textFile(directory .. "/" .. part):collect()) do
        print("", line)
    end
end
local marker = io.open(directory .. "/_SUCCESS")
print(marker and "complete: there is a _SUCCESS file" or "incomplete")
if marker then
    marker:close()
end
sc:stop()

if not arg[1] then
    for _, name in ipairs({ parts[1], parts[2], "_SUCCESS" }) do
        os.remove(directory .. "/" .. name)
    end
    os.remove(directory)
end

--[[ prints:
part-00000
	(ebb,3)
	(flow,4)
part-00001
	(neap,4)
	(spring,6)
complete: there is a _SUCCESS file
]]

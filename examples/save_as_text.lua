-- Writes a dataset as text files, one for each partition, and reads it back.
--
-- Shows: saveAsTextFile and what it leaves behind, textFile on a single part, pairs as text.
--
--     moontide run examples/save_as_text.lua [directory]
--
-- Prints the parts with their lines. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local temporary = not arg[1] and io.popen("mktemp -d"):read("*l")
local directory = arg[1] or temporary .. "/tides" -- it must not be there yet

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

if temporary then
    os.execute("rm -r '" .. temporary .. "'")
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

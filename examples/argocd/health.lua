-- Argo CD health of an AzureKeyVaultSecret. How to install it: README.md beside this file.
local health = { status = "Progressing", message = "Waiting for the controller" }
local status = obj.status or {}

-- Without output nothing is written: the object serves the env injector, which reports nothing here.
if obj.spec.output == nil or (obj.spec.output.secret == nil and obj.spec.output.configMap == nil) then
  return { status = "Healthy", message = "No output: used by the env injector" }
end

if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the controller to see the latest change"
  return health
end

local ready, stalled
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then ready = condition end
  if condition.type == "Stalled" then stalled = condition end
end

if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message }
end
if ready ~= nil then
  health.message = ready.reason .. ": " .. ready.message
  if ready.status == "True" then health.status = "Healthy" end
end
return health

output "namespace" {
  description = "The namespace's id, for wrangler.toml: `velvetrope publish` asks wrangler to write there."
  value       = cloudflare_workers_kv_namespace.configuration.id
}

output "version" {
  description = "The version that was made last; the `other_version` of the next rollout."
  value       = cloudflare_worker_version.rope.id
}

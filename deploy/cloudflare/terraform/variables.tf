variable "account_id" {
  type = string
}

variable "zone_id" {
  type = string
}

variable "name" {
  description = "The Worker's name; another for each environment."
  type        = string
  default     = "velvetrope"
}

variable "modules" {
  description = "The folder with the Worker's modules: build/ of a clone, or node_modules/velvetrope-worker."
  type        = string
  default     = "../../../build"
}

variable "hosts" {
  description = "Hosts that the Worker stands in front of. None as long as it is not to see visitors."
  type        = list(string)
  default     = []
}

variable "past" {
  description = "Patterns of routes that go past the Worker, as www.example.com/assets/*: nothing there is ever waited for."
  type        = list(string)
  default     = []
}

variable "customer_id" {
  description = "Your account at Queue-it."
  type        = string
}

variable "secret_key" {
  description = "What tokens and sessions are signed with. It is in the state: keep that as you keep secrets."
  type        = string
  sensitive   = true
}

variable "secret_key_previous" {
  description = "Another key that is accepted, while keys are changed."
  type        = string
  sensitive   = true
  default     = ""
}

variable "variables" {
  description = "More of the Worker's variables, as VELVETROPE_ON_FAILURE."
  type        = map(string)
  default     = {}
}

variable "rollout" {
  description = "While a version is rolled out: to how many of a hundred requests, and which other version has the rest."
  type        = object({ percentage = number, other_version = string })
  default     = null

  validation {
    condition     = var.rollout == null ? true : var.rollout.percentage > 0 && var.rollout.percentage < 100
    error_message = "The percentage is between 0 and 100; without a rollout the new version has all requests."
  }
}

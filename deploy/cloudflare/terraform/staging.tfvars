# `terraform apply -var-file=staging.tfvars`. The secret key comes from TF_VAR_secret_key.
account_id  = "00000000000000000000000000000000"
zone_id     = "00000000000000000000000000000000"
name        = "velvetrope-staging"
customer_id = "your-customer-id"
hosts       = ["staging.example.com"]
past        = ["staging.example.com/assets/*"]

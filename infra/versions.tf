terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

# The provider reads credentials, and for an emulator its URL, from environment variables, e.g. AWS_ENDPOINT_URL.
provider "aws" {
  region                      = var.region
  s3_use_path_style           = var.emulator
  skip_credentials_validation = var.emulator
  skip_metadata_api_check     = var.emulator

  default_tags {
    tags = { Application = var.name, ManagedBy = "terraform" }
  }
}

#!/usr/bin/env bash
# Has Cloud Scheduler begin the job of job.yaml every twelve minutes, as an account that may do nothing else.
#   PROJECT=my-project REGION=us-central1 deploy/cloudrun/schedule.sh
set -euo pipefail
project=${PROJECT:?the project}
region=${REGION:?the region}
job=${JOB:-penstock-shop-changes}
starter=penstock-starter@$project.iam.gserviceaccount.com

gcloud iam service-accounts create penstock-starter --project "$project" --display-name 'Begins Penstock jobs'
gcloud run jobs add-iam-policy-binding "$job" --project "$project" --region "$region" \
  --member "serviceAccount:$starter" --role roles/run.invoker
gcloud scheduler jobs create http "$job" --project "$project" --location "$region" \
  --schedule '*/12 * * * *' --time-zone Etc/UTC --attempt-deadline 60s --max-retry-attempts 2 \
  --uri "https://run.googleapis.com/v2/projects/$project/locations/$region/jobs/$job:run" \
  --http-method POST --oauth-service-account-email "$starter"

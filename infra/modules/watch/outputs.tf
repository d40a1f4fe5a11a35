output "alarms" {
  description = "What each alarm is about."
  value       = { for alarm in concat(values(aws_cloudwatch_metric_alarm.single), values(aws_cloudwatch_metric_alarm.computed)) : alarm.alarm_name => alarm.alarm_description }
}

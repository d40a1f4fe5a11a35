output "alarms" {
  description = "Description by name of the alarm."
  value = {
    for alarm in concat(values(aws_cloudwatch_metric_alarm.single), values(aws_cloudwatch_metric_alarm.computed)) :
    alarm.alarm_name => alarm.alarm_description
  }
}

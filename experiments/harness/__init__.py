"""What every question is asked with: options, jobs, runs, tables, plots and pages."""

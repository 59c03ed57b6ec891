"""mixreg for PPO: returns on levels of CartPole seen and unseen."""

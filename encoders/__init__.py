"""Made earths whose truth is known; the encoders of seismic, gravity and logs will share this house."""
